//! A thousand sandboxes lose their tokens to one revocation: real pods of a real API server, real TokenReviews, real
//! supervisors, one gateway as it is shipped.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use keystile_kubernetes::{Api, Call, Object};
use keystile_proto::keystile::v1::WhoAmIRequest;
use keystile_proto::keystile::v1::keystile_client::KeystileClient;
use keystile_supervisor::{Config, Endpoint, FailureKind, Source, State, Supervisor, Timing, Token};
use keystile_system::{Clock, SystemClock, SystemEntropy};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Channel;
use tower::Layer as _;

use super::{
    BOOTSTRAPS, Cluster, SANDBOXES, await_generation, bytes, desk, prepare, run, sandbox,
    serve_service_accounts,
};
use crate::process::Desk;

/// How many sandboxes.
const FLEET: usize = 1000;

/// `bootstrap_rate`, the default.
const RATE: u32 = 50;

/// Objects made at a time.
const MAKERS: usize = 24;

/// How soon all of them must have a token again. The gateway spreads them over `FLEET / RATE`, and where nobody else has
/// work for the machine, two seconds more is what it takes. Who finds a second's worth before it, because the machine
/// stood still, is told once more, behind everybody else: as long again, and as long as a call may take.
const BOUND: Duration = Duration::from_secs(2 * FLEET as u64 / RATE as u64 + 10);

/// The longest that anybody may be told to stay away: a second's worth is let in at once, everybody else has a moment
/// of their own, and who comes again has one behind theirs.
const LONGEST_HINT: Duration = Duration::from_millis(1000 + 2 * (FLEET as u64 + 1) * 1000 / RATE as u64);

/// What the API server counted of a gateway's questions so far, and when it was asked. Not of those about owners: the
/// cluster's garbage collector asks the same.
#[derive(Clone, Copy, Debug)]
struct Count {
    before: Duration,
    after: Duration,
    reviews: u64,
    pods: u64,
}

impl Count {
    async fn read(api: &Api, clock: &SystemClock) -> Self {
        let metrics = || Call::get("/metrics").at_most(64 * 1024 * 1024);
        let (before, text) = loop {
            let before = clock.uptime();
            // On a machine with much to do it may take its time.
            match api.call(metrics()).await {
                Ok(text) => break (before, text),
                Err(error) => assert!(error.is_outage(), "{error}"),
            }
        };
        let text = std::str::from_utf8(&text).expect("text");
        let of = |resource: &str, verb: &str| -> u64 {
            let (resource, verb) = (format!("resource=\"{resource}\""), format!("verb=\"{verb}\""));
            let lines = text.lines().filter(|line| line.starts_with("apiserver_request_total{"));
            lines
                .filter(|line| line.contains(&resource) && line.contains(&verb))
                .map(|line| line.rsplit(' ').next().expect("a value").parse::<u64>().expect("a number"))
                .sum()
        };
        Self { before, reviews: of("tokenreviews", "POST"), pods: of("pods", "GET"), after: clock.uptime() }
    }

    /// What came between two counts.
    fn until(&self, later: &Self) -> [(&'static str, u64); 2] {
        [("TokenReviews", later.reviews - self.reviews), ("pods", later.pods - self.pods)]
    }
}

/// Counts until told to stop.
async fn watch_the_api_server(api: Arc<Api>, mut stop: watch::Receiver<bool>) -> Vec<Count> {
    let clock = SystemClock::default();
    let mut counts = vec![Count::read(&api, &clock).await];
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = tick.tick() => counts.push(Count::read(&api, &clock).await),
            _ = stop.changed() => break,
        }
    }
    counts.push(Count::read(&api, &clock).await);
    counts
}

/// In no time that was measured was the API server asked more than so many a second, beside the second's worth that may
/// come at once and the second's worth that may have waited for one of the `bootstrap_concurrency` places.
fn assert_limited(counts: &[Count]) {
    for (number, first) in counts.iter().enumerate() {
        for last in &counts[number + 1..] {
            let within = last.after.saturating_sub(first.before);
            let most = (within.as_millis() + 2000) * u128::from(RATE) / 1000;
            for (what, asked) in first.until(last) {
                assert!(u128::from(asked) <= most, "{what}: {asked} within {within:.2?}, at most {most}");
            }
        }
    }
}

/// A Sandbox with its running pod for each, and a token bound to each pod.
async fn make_fleet(api: &Arc<Api>, desk: &Desk) -> Vec<PathBuf> {
    prepare(api).await;
    let places = Arc::new(Semaphore::new(MAKERS));
    let mut makers = JoinSet::new();
    let mut tokens = Vec::new();
    for number in 0..FLEET {
        let name = format!("burst-{}-{number}", std::process::id());
        let (api, places, token) = (Arc::clone(api), Arc::clone(&places), desk.path(&name));
        tokens.push(token.clone());
        makers.spawn(async move {
            let _place = places.acquire().await.expect("open");
            sandbox(&api, &name, &token).await;
            let status = json!({"status": {"phase": "Running"}});
            let path = format!("/api/v1/namespaces/{SANDBOXES}/pods/{name}/status");
            let pod: Object = api.json(Call::merge(path, bytes(&status))).await.expect("a running pod");
            assert_eq!(pod.metadata.name, name);
        });
    }
    while let Some(made) = makers.join_next().await {
        made.expect("made");
    }
    tokens
}

/// Every sandbox has a connection of its own.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("raised");
}

/// A supervisor, and every answer that it had instead of a token.
struct Sandbox {
    supervisor: Supervisor,
    failures: tokio::task::JoinHandle<Vec<(FailureKind, Option<Duration>)>>,
}

fn supervise(url: &str, token: PathBuf) -> Sandbox {
    let config = Config {
        endpoints: vec![Endpoint::url(url).expect("a URL")],
        sources: vec![Source::ServiceAccount(token)],
        tls: None,
        allow_plaintext: false,
        output: None,
        timing: Timing::default(),
    };
    let supervisor = Supervisor::start(config, Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    let supervisor = supervisor.expect("it starts");
    let mut state = supervisor.state();
    let failures = tokio::spawn(async move {
        let mut failures = Vec::new();
        while state.changed().await.is_ok() {
            match &*state.borrow_and_update() {
                State::Obtaining { failure: Some(failure) } | State::Stale { failure, .. } => {
                    failures.push((failure.kind, failure.retry_after));
                }
                State::Stranded { failure, remedy } => panic!("{failure}: {remedy}"),
                _ => {}
            }
        }
        failures
    });
    Sandbox { supervisor, failures }
}

/// Calls the gateway once as every sandbox, so many at a time; the codes of the answers.
async fn call_as_all(channel: &Channel, fleet: &[Sandbox]) -> Vec<Code> {
    let places = Arc::new(Semaphore::new(100));
    let mut calls = JoinSet::new();
    for sandbox in fleet {
        let (places, layer) = (Arc::clone(&places), sandbox.supervisor.layer());
        let mut client = KeystileClient::new(layer.layer(channel.clone()));
        calls.spawn(async move {
            let _place = places.acquire().await.expect("open");
            client.who_am_i(WhoAmIRequest {}).await.map_or_else(|status| status.code(), |_| Code::Ok)
        });
    }
    calls.join_all().await
}

/// Waits until every sandbox has a token that is not the one it had.
async fn await_others(fleet: &[Sandbox], had: &[Token]) {
    for (sandbox, had) in fleet.iter().zip(had) {
        let mut state = sandbox.supervisor.state();
        let fresh = |_: &State| sandbox.supervisor.token().is_some_and(|token| token != *had);
        state.wait_for(fresh).await.expect("it goes on");
    }
}

fn tokens(fleet: &[Sandbox]) -> Vec<Token> {
    fleet.iter().map(|sandbox| sandbox.supervisor.token().expect("a token")).collect()
}

/// What all supervisors together were answered instead of tokens: when to come again, and everybody was told. How many
/// calls beside them were given up, because the machine had too much to do.
async fn assert_told(fleet: Vec<Sandbox>) -> u64 {
    let (mut refused, mut given_up) = (0, 0);
    for sandbox in fleet {
        sandbox.supervisor.shutdown().await;
        drop(sandbox.supervisor);
        for (kind, hint) in sandbox.failures.await.expect("no panic") {
            if kind == FailureKind::Timeout {
                given_up += 1;
                continue;
            }
            assert_eq!(kind.label(), "unavailable");
            let hint = hint.expect("when to come again");
            assert!(hint <= LONGEST_HINT, "{hint:?}");
            refused += 1;
        }
    }
    // Two bursts: in each, all but a few seconds' worth are sent away once, and few more than once.
    let least = 2 * (FLEET - 3 * RATE as usize);
    assert!((least..3 * FLEET).contains(&refused), "{refused} were told to come again");
    given_up
}

/// Removes what the test made, also where the cluster is somebody's.
async fn remove_fleet(api: &Api) {
    let label = format!("keystile-test={}", run());
    for collection in ["/apis/agents.x-k8s.io/v1beta1", "/api/v1"] {
        let kind = if collection.starts_with("/apis") { "sandboxes" } else { "pods" };
        let all = Call::delete(format!("{collection}/namespaces/{SANDBOXES}/{kind}"));
        let all = all.with("labelSelector", &label).with("gracePeriodSeconds", "0");
        api.call(all).await.map(|_| ()).expect("deleted");
    }
}

#[test]
fn a_thousand_sandboxes_come_back_after_a_revocation_and_do_not_flood_the_api_server() {
    let Some(desk) = desk("burst") else { return };
    let _alone = BOOTSTRAPS.lock().unwrap_or_else(PoisonError::into_inner);
    let Cluster { api, .. } = Cluster::new();
    let api = Arc::new(api);
    let clock = SystemClock::default();
    let start = clock.uptime();
    allow_many_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let service_accounts = runtime.block_on(make_fleet(&api, &desk));
    let made = clock.uptime().saturating_sub(start);
    desk.ends(0, &["init"]);
    let (mut gateway, url) = serve_service_accounts(&desk, &[&format!("--bootstrap-rate={RATE}")]);
    gateway.ignore_errors();
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let counter = tokio::spawn(watch_the_api_server(Arc::clone(&api), stopped));
        let channel = Channel::from_shared(url.clone()).expect("a URL").connect().await.expect("connected");

        // They all begin at once, which is a burst too.
        let began = clock.uptime();
        let fleet: Vec<Sandbox> = service_accounts.into_iter().map(|token| supervise(&url, token)).collect();
        for sandbox in &fleet {
            sandbox.supervisor.ready().await.expect("a token");
        }
        let first = clock.uptime().saturating_sub(began);
        assert!(call_as_all(&channel, &fleet).await.iter().all(|code| *code == Code::Ok));

        let had = tokens(&fleet);
        tokio::task::block_in_place(|| {
            let kid = desk.json(&["status"])["active"].as_str().expect("a kid").to_owned();
            desk.ends(0, &["revoke", &kid, "--reason", "stolen"]);
            await_generation(&desk, 2);
        });
        let began = clock.uptime();
        let codes = call_as_all(&channel, &fleet).await;
        assert!(codes.iter().all(|code| *code == Code::Unauthenticated), "revoked: {codes:?}");
        await_others(&fleet, &had).await;
        let took = clock.uptime().saturating_sub(began);
        let codes = call_as_all(&channel, &fleet).await;
        assert!(codes.iter().all(|code| *code == Code::Ok), "usable: {codes:?}");

        stop.send_replace(true);
        let counts = counter.await.expect("counted");
        let all = counts[0].until(&counts[counts.len() - 1]);
        println!(
            "made within {made:.1?}, first tokens within {first:.1?}, again within {took:.1?}; asked: {all:?}"
        );
        assert_limited(&counts);
        let given_up = assert_told(fleet).await;
        // A machine on which calls take ten seconds has twice the time, and may have few of them.
        let bound = if given_up == 0 { BOUND } else { 2 * BOUND };
        assert!(took <= bound, "{took:?}, at most {bound:?}");
        assert!(given_up <= FLEET as u64 / 20, "{given_up} calls were given up");
        for (what, asked) in all {
            let tokens = 2 * FLEET as u64;
            assert!(
                (tokens..=tokens + given_up).contains(&asked),
                "{what}: {asked}, {given_up} were given up"
            );
        }
        remove_fleet(&api).await;
    });
}
