//! One life: a world, minutes of turmoil, and the calm after it.

use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::Policy;
use keystile_supervisor::Supervisor;

use crate::adversary;
use crate::faults::{Class, Fault, Size, What, Who, draw, within_skew};
use crate::oracle::{Answer, Claim, Maker, Violation};
use crate::weakness::Weakness;
use crate::world::chance::Chance;
use crate::world::gateway::Order;
use crate::world::host::Host;
use crate::world::network::{BOTH_WAYS, Link, cut, mend};
use crate::world::operator::PROVISION;
use crate::world::supervisor::timing;
use crate::world::{Caller, Running, World};

pub const MAX_SKEW: u64 = 2;

/// The policy that lives begin with: production's, with tokens that live 30 s in place of an hour.
fn policy() -> Policy {
    Policy {
        token_ttl: 30,
        leeway: 2,
        max_skew: MAX_SKEW,
        max_staleness: 12,
        verify_staleness: 20,
        commit_delay: 4,
        verifier_cache: 3,
        activation_lead: 2,
        rollback_custody: 40,
        ..Policy::default()
    }
}

/// The longest look-away of a supervisor that slept: `LONGEST_SLEEP` of its engine.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// The longest that a gateway takes to confirm its keyring again: its longest time between two reads, a start that
/// failed just before, and the calls to the store, one of which may just have begun to wait.
const CONFIRMED_AGAIN: Duration = Duration::from_secs(5 + 1 + 3);

/// Within this time after the faults every supervisor has a usable token again: see docs/explanation/turmoil.md.
pub fn bound() -> Duration {
    let timing = timing();
    // What is asked when the faults end, and what is asked then; the wait after a failure, on top of what a gateway
    // asked for; a look at the clock; a gateway's keyring.
    let renewed = 2 * timing.attempt_timeout + timing.backoff_max + Duration::from_secs(1);
    // Where nothing that it holds is good: somebody notices, and the file is looked at.
    let given = PROVISION + timing.file_poll + timing.attempt_timeout;
    CONFIRMED_AGAIN + LONGEST_SLEEP + renewed + given
}

/// What became of a life.
pub struct Life {
    pub seed: u64,
    pub class: Class,
    pub violations: Vec<Violation>,
    /// How long after the faults the last supervisor had a usable token again.
    pub recovered: Duration,
    pub answers: std::collections::BTreeMap<(Maker, Answer), u64>,
    pub generations: u64,
    pub faults: usize,
    pub timeline: Vec<(Duration, String)>,
}

/// Lives the life of a seed.
pub fn live(seed: u64, weakness: Weakness) -> Life {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(lives(seed, weakness))
}

async fn lives(seed: u64, weakness: Weakness) -> Life {
    let chance = Chance::of(seed);
    let mut draws = chance.stream("life", 0);
    let class = if weakness == Weakness::None { Class::of(&mut draws) } else { Class::WithinBounds };
    let size =
        Size { gateways: 2 + draws.index(2), supervisors: 3 + draws.index(3), operators: 1 + draws.index(2) };
    let end = draws.millis(40_000, 75_000);
    let faults = draw(&mut draws, class, size, end);
    let files = tempfile::tempdir().expect("a directory for token files");
    let world = World::new(&chance, size, class, weakness, files.path());
    world.oracle.note(format!("seed {seed}: {class:?}, {size:?}, {} faults until {end:?}", faults.len()));
    let running = Arc::new(world.start(&chance, policy(), end).await);
    tokio::spawn(adversary::attack(Arc::clone(&world), chance.stream("adversary", 0)));
    let count = faults.len();
    let faults: Vec<_> = faults
        .into_iter()
        .map(|fault| tokio::spawn(befall(Arc::clone(&world), Arc::clone(&running), fault)))
        .collect();
    for fault in faults {
        fault.await.expect("no fault fails");
    }
    tokio::time::sleep_until(world.time.instant(end)).await;
    world.oracle.note("the faults are over");
    let recovered = recovery(&world, &running.supervisors, end).await;
    let life = Life {
        seed,
        class,
        violations: world.oracle.violations(),
        recovered,
        answers: world.oracle.answers(),
        generations: world.truth.newest().map_or(0, |newest| newest.manifest.generation),
        faults: count,
        timeline: world.oracle.timeline(),
    };
    drop(files);
    life
}

/// Waits until every supervisor has a usable token, at most as long as the bound allows; then has every gateway asked
/// about each.
async fn recovery(world: &Arc<World>, supervisors: &[Supervisor], end: Duration) -> Duration {
    let usable = |supervisor: &Supervisor| {
        let token = supervisor.token().and_then(|token| world.genuine(token.expose()));
        token.is_some_and(|token| world.oracle.usable(&token))
    };
    let without =
        || (0..supervisors.len()).filter(|number| !usable(&supervisors[*number])).collect::<Vec<_>>();
    while !without().is_empty() && world.time.now() < end + bound() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for number in without() {
        let state = supervisors[number].state().borrow().to_string();
        let what = format!("supervisor-{number} has no usable token {:?} after the faults: {state}", bound());
        world.oracle.violated(Claim::EverySupervisorRecovers, what);
    }
    let recovered = world.time.now().saturating_sub(end);
    world.oracle.note("every supervisor has a usable token");
    tokio::time::sleep(CONFIRMED_AGAIN).await;
    let mut caller = Caller::new(world, supervisors.len());
    for (number, supervisor) in supervisors.iter().enumerate() {
        for gateway in 0..world.gateways.len() {
            // The token of this moment: one that was renewed since is as good.
            let Some(token) = supervisor.token().filter(|_| usable(supervisor)) else { continue };
            let Some(facts) = world.genuine(token.expose()) else { continue };
            let answer = caller.present(gateway, token.expose(), &facts, Maker::Keyring).await;
            if answer != Answer::Accepted && usable(supervisor) && supervisor.token() == Some(token) {
                let what = format!("gateway-{gateway} answers {answer:?} to supervisor-{number} in the calm");
                world.oracle.violated(Claim::EverySupervisorRecovers, what);
            }
        }
    }
    recovered
}

/// One fault, from its begin to its end.
async fn befall(world: Arc<World>, running: Arc<Running>, fault: Fault) {
    tokio::time::sleep_until(world.time.instant(fault.at)).await;
    world.oracle.note(format!("fault until {:.3}: {:?}", fault.until.as_secs_f64(), fault.what));
    begin(&world, &running, &fault);
    tokio::time::sleep_until(world.time.instant(fault.until)).await;
    end(&world, &fault.what);
}

fn begin(world: &World, running: &Running, fault: &Fault) {
    match &fault.what {
        What::Cut { supervisor, gateway, ways } => {
            cut(&[Arc::clone(&world.links[*supervisor][*gateway])], ways);
        }
        What::Isolated(gateway) => cut(&links(world, Who::Gateway(*gateway)), &BOTH_WAYS),
        What::Slow { supervisor, gateway, millis } => world.links[*supervisor][*gateway].slow_down(*millis),
        What::StoreAway(who) => host(world, *who).ail(|store| store.away += 1),
        What::StoreSlow(who, millis) => host(world, *who).ail(|store| store.slow = *millis),
        What::StoreBehind(who, lag) => host(world, *who).ail(|store| store.behind = Some(*lag)),
        What::WitnessBehind(who, lag) => host(world, *who).ail(|store| store.witness_behind = Some(*lag)),
        What::StoreLies(who, lag) => host(world, *who).ail(|store| store.lies = Some(*lag)),
        What::LosesAnswers(operator) => world.operators[*operator].ail(|store| store.loses_answers = true),
        What::ClockSet(who, ahead) | What::ClockWrong(who, ahead) => host(world, *who).clock.set(*ahead),
        What::Asleep(who) => host(world, *who).fall_asleep(&links(world, *who)),
        What::Killed(gateway, callers) => {
            let down = fault.until.saturating_sub(fault.at).min(Duration::from_secs(15));
            let _ = running.orders[*gateway].send(Order::Kill(*callers, down));
        }
        What::Restarted(gateway) => {
            let _ = running.orders[*gateway].send(Order::Restart);
        }
    }
}

fn end(world: &World, what: &What) {
    match what {
        What::Cut { supervisor, gateway, ways } => {
            mend(&[Arc::clone(&world.links[*supervisor][*gateway])], ways);
        }
        What::Isolated(gateway) => mend(&links(world, Who::Gateway(*gateway)), &BOTH_WAYS),
        What::Slow { supervisor, gateway, .. } => world.links[*supervisor][*gateway].slow_down(0),
        What::StoreAway(who) => host(world, *who).ail(|store| store.away -= 1),
        What::StoreSlow(who, _) => host(world, *who).ail(|store| store.slow = 0),
        What::StoreBehind(who, _) => host(world, *who).ail(|store| store.behind = None),
        What::WitnessBehind(who, _) => host(world, *who).ail(|store| store.witness_behind = None),
        What::StoreLies(who, _) => host(world, *who).ail(|store| store.lies = None),
        What::LosesAnswers(operator) => world.operators[*operator].ail(|store| store.loses_answers = false),
        What::ClockWrong(who, _) => {
            let host = host(world, *who);
            host.clock.set(within_skew(&mut host.chance.stream("mended", 0)));
        }
        What::Asleep(who) => host(world, *who).wake(&links(world, *who)),
        What::ClockSet(..) | What::Killed(..) | What::Restarted(_) => {}
    }
}

fn host(world: &World, who: Who) -> &Arc<Host> {
    match who {
        Who::Gateway(number) => &world.gateways[number],
        Who::Supervisor(number) => &world.supervisors[number],
        Who::Operator(number) => &world.operators[number],
    }
}

fn links(world: &World, who: Who) -> Vec<Arc<Link>> {
    match who {
        Who::Gateway(gateway) => world.links.iter().map(|links| Arc::clone(&links[gateway])).collect(),
        Who::Supervisor(number) => world.links[number].clone(),
        Who::Operator(_) => Vec::new(),
    }
}
