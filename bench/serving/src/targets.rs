//! The figures that have a target; and where one is missed, why, in figures.

use crate::call::Call;
use crate::figures::{Figures, Sample, Scene, Spread, Which};
use crate::peers::Peer;
use crate::scenes::{CONNECTIONS, ENVOY, GOOD_CONNECTIONS, HYPER, KEYSTILE};
use crate::server::Kind;
use crate::world::TOKENS;

/// A processor that is busier than this has nothing left to give.
const FULL: f64 = 0.95;
/// Megabytes in a MiB.
const MB: f64 = 1.048_576;

/// A figure that has a target.
pub(crate) struct Target {
    what: &'static str,
    found: Spread,
    bound: Bound,
    /// What a miss comes from.
    why: String,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// As a row of a table.
    pub(crate) fn row(&self) -> String {
        let Spread { least, median, most } = self.found;
        let (met, bound) = match self.bound {
            Bound::AtLeast(bound) => (median >= bound, format!("at least {bound}")),
            Bound::AtMost(bound) => (median <= bound, format!("at most {bound}")),
        };
        let verdict = if met { "met".to_owned() } else { format!("**missed**: {}", self.why) };
        format!("| {} | {median:.2} | {least:.2} to {most:.2} | {bound} | {verdict} |\n", self.what)
    }
}

fn at_least(what: &'static str, found: Spread, bound: f64, why: String) -> Target {
    Target { what, found, bound: Bound::AtLeast(bound), why }
}

fn at_most(what: &'static str, found: Spread, bound: f64, why: String) -> Target {
    Target { what, found, bound: Bound::AtMost(bound), why }
}

/// All of them.
pub(crate) fn all(figures: &Figures) -> Vec<Target> {
    let mut all = Vec::from(verify(figures));
    all.extend(refresh(figures));
    let (verify, refresh) = (Call::Verify, Call::Refresh);
    all.push(turning(
        figures,
        verify,
        "`/verify`, p99 with a change of the signing key every second over p99 without",
    ));
    all.push(turning(figures, refresh, "the same of a refresh over gRPC"));
    all.push(flood(figures, verify, "`/verify`, what good callers keep of their fair share in a flood"));
    all.push(flood(figures, refresh, "the same of a refresh over gRPC"));
    all.extend(idle(figures));
    all
}

fn steady(call: Call, kind: Kind) -> Which {
    (call, kind, Scene::Steady)
}

fn verify(figures: &Figures) -> [Target; 4] {
    let [keystile, envoy, hyper] = [KEYSTILE, ENVOY, HYPER].map(|kind| steady(Call::Verify, kind));
    let resident = Spread::of(figures.of(keystile).iter().map(|sample| sample.resident * MB));
    let own = figures.median(keystile, |sample| sample.own * MB);
    let idle = Spread::of(figures.idle.iter().map(|idle| idle.resident)).median * MB;
    #[allow(clippy::cast_precision_loss, reason = "ten thousand")]
    let each = (resident.median - idle) * 1e3 / TOKENS as f64;
    [
        at_least(
            "`/verify`, requests per second, over Envoy with its cache",
            figures.ratio(keystile, envoy, Sample::rate),
            3.0,
            format!(
                "hyper that checks nothing, the bound of every server over hyper, has itself {:.2} times Envoy's requests; {}; {}",
                figures.ratio(hyper, envoy, Sample::rate).median,
                costs(figures, &[("Keystile", keystile), ("Envoy", envoy), ("hyper", hyper)]),
                ceilings(figures, keystile),
            ),
        ),
        at_least(
            "the same over hyper that checks nothing",
            figures.ratio(keystile, hyper, Sample::rate),
            0.7,
            format!(
                "{}; {}",
                costs(figures, &[("Keystile", keystile), ("hyper", hyper)]),
                ceilings(figures, keystile)
            ),
        ),
        at_most(
            "its p99 over Envoy's with its cache",
            figures.ratio(keystile, envoy, Sample::p99),
            1.0,
            tails(figures, ("Keystile", keystile), ("Envoy", envoy)),
        ),
        at_most(
            "resident with 10,000 tokens, MB",
            resident,
            30.0,
            format!(
                "{own:.1} MB of it are memory of its own, the rest is the program's file, of which the kernel maps what it \
                 holds; {idle:.1} MB are there when idle, and {each:.1} kB come with each token"
            ),
        ),
    ]
}

fn refresh(figures: &Figures) -> [Target; 3] {
    let first = |kind| (Call::Refresh, kind, Scene::First);
    let [floor, mints, checks] = [Peer::Tonic, Peer::TonicMints, Peer::TonicJsonwebtoken].map(Kind::Peer);
    let keystile = steady(Call::Refresh, KEYSTILE);
    let beside = |keystile: Which, peer: Which| {
        let floor = figures.median(steady(Call::Refresh, floor), Sample::cost);
        let [ours, theirs] = [keystile, peer].map(|which| figures.median(which, Sample::cost));
        format!(
            "of {ours:.1} µs and the peer's {theirs:.1} µs, tonic that neither checks nor mints takes {floor:.1}: \
             beyond that, Keystile takes {:.1} and the peer {:.1}",
            ours - floor,
            theirs - floor
        )
    };
    let target = |what, keystile, peer| {
        at_most(what, figures.ratio(keystile, peer, Sample::cost), 0.75, beside(keystile, peer))
    };
    [
        target(
            "gRPC, processor time: a refresh, which checks a token seen before and mints, over tonic that only mints with \
             jsonwebtoken",
            keystile,
            steady(Call::Refresh, mints),
        ),
        target(
            "the same over tonic that checks and mints with jsonwebtoken",
            keystile,
            steady(Call::Refresh, checks),
        ),
        target("the same, each token seen for the first time", first(KEYSTILE), first(checks)),
    ]
}

fn turning(figures: &Figures, call: Call, what: &'static str) -> Target {
    let [still, turning] = [Scene::Still, Scene::Turning].map(|scene| (call, KEYSTILE, scene));
    let found = figures.ratio(turning, still, Sample::p99);
    let why = format!(
        "{}; {}",
        tails(figures, ("with changes", turning), ("without", still)),
        costs(figures, &[("with changes", turning), ("without", still)]),
    );
    at_most(what, found, 1.2, why)
}

/// What good callers keep of what as many connections of all have when all tokens are good.
#[allow(clippy::cast_precision_loss, reason = "few connections")]
pub(crate) fn share(figures: &Figures, call: Call, kind: Kind) -> Spread {
    let Spread { least, median, most } =
        figures.ratio((call, kind, Scene::BesideFlood), steady(call, kind), Sample::rate);
    let fair = GOOD_CONNECTIONS as f64 / CONNECTIONS as f64;
    Spread { least: least / fair, median: median / fair, most: most / fair }
}

fn flood(figures: &Figures, call: Call, what: &'static str) -> Target {
    let rate = |scene| figures.median((call, KEYSTILE, scene), Sample::rate);
    let why = format!(
        "alone all have {:.0} requests/s; in the flood the good have {:.0} and the bad {:.0}; {}",
        rate(Scene::Steady),
        rate(Scene::BesideFlood),
        rate(Scene::Flood),
        ceilings(figures, (call, KEYSTILE, Scene::Flood)),
    );
    at_least(what, share(figures, call, KEYSTILE), 0.5, why)
}

fn idle(figures: &Figures) -> [Target; 2] {
    let spread = |figure: fn(&crate::figures::Idle) -> f64| Spread::of(figures.idle.iter().map(figure));
    let (cpu, own) = (spread(|idle| idle.cpu_ms).median, spread(|idle| idle.own).median);
    [
        at_most(
            "from start to ready, ms",
            spread(|idle| idle.ready_ms),
            100.0,
            format!("{cpu:.0} ms of it are processor time, the rest is waiting"),
        ),
        at_most(
            "resident when idle, MiB",
            spread(|idle| idle.resident),
            20.0,
            format!(
                "{own:.1} MiB of it are memory of its own, the rest is the program's file, of which the kernel maps what it holds"
            ),
        ),
    ]
}

/// The server's processor time for a request.
fn costs(figures: &Figures, of: &[(&str, Which)]) -> String {
    let each = of.iter().map(|(name, which)| format!("{name} {:.1}", figures.median(*which, Sample::cost)));
    format!("processor time of a request, µs: {}", each.collect::<Vec<_>>().join(", "))
}

/// How far the tail is from the middle.
fn tails(figures: &Figures, one: (&str, Which), other: (&str, Which)) -> String {
    let told = |(name, which): (&str, Which)| {
        let [p50, p99] =
            [|sample: &Sample| sample.load.p50, Sample::p99].map(|figure| figures.median(which, figure));
        format!("{name} has a median of {p50:.2} ms and a p99 of {:.1} times that", p99 / p50)
    };
    format!("{}; {}", told(one), told(other))
}

/// Which processor had nothing left.
fn ceilings(figures: &Figures, which: Which) -> String {
    let server = figures.median(which, |sample| sample.busy);
    let load = figures.median(which, |sample| sample.load.busy);
    let verdict = match (server >= FULL, load >= FULL) {
        (true, false) => "the server was the bound",
        (false, true) => "the load was the bound",
        (true, true) => "both were bounds",
        (false, false) => "neither was full: they waited for each other, or had other work",
    };
    format!(
        "the server's processor was {:.0} % busy and the load's {:.0} %: {verdict}",
        server * 100.0,
        load * 100.0
    )
}
