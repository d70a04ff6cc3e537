//! A sandbox: the real supervisor library, a program that presents its token, and an eye on both.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use keystile_supervisor::{Config, Endpoint, Source, State, Supervisor, Timing};
use tokio::sync::Mutex;
use tower::{Layer as _, Service as _, service_fn};

use super::World;
use super::caller::Caller;
use super::chance::SeededEntropy;
use super::operator::TokenFile;
use crate::oracle::{Answer, Call, Claim, Facts, Maker};
use crate::weakness::Weakness;

/// The supervisor's own times: tokens here live a hundredth of what they live in production, attempts a fifth.
pub fn timing() -> Timing {
    Timing {
        start_spread: Duration::from_secs(2),
        backoff_max: Duration::from_secs(2),
        stranded_max: Duration::from_secs(30),
        attempt_timeout: Duration::from_secs(2),
        hint_max: Duration::from_secs(5),
        file_poll: Duration::from_secs(4),
        ..Timing::default()
    }
}

/// Starts the supervisor with this number. Its first token is in `file`.
pub fn start(world: &Arc<World>, number: usize, file: PathBuf) -> Supervisor {
    let host = &world.supervisors[number];
    let config = Config {
        endpoints: (0..world.gateways.len()).map(|gateway| endpoint(world, number, gateway)).collect(),
        sources: vec![Source::TokenFile(file)],
        tls: None,
        allow_plaintext: false,
        output: None,
        timing: timing(),
    };
    let entropy = Arc::new(SeededEntropy::new(host.chance.stream("supervisor", 0)));
    let supervisor = Supervisor::start(config, host.clock.clone(), entropy).expect("a usable configuration");
    tokio::spawn(watch(Arc::clone(world), number, supervisor.clone()));
    tokio::spawn(call(Arc::clone(world), number, supervisor.clone()));
    supervisor
}

fn endpoint(world: &Arc<World>, number: usize, gateway: usize) -> Endpoint {
    let (world, link) = (Arc::clone(world), Arc::clone(&world.links[number][gateway]));
    Endpoint::dial(format!("gateway-{gateway}"), move || {
        let (world, link) = (Arc::clone(&world), Arc::clone(&link));
        let connector = service_fn(move |_: http::Uri| {
            let (world, link) = (Arc::clone(&world), Arc::clone(&link));
            async move { world.doors[gateway].connect(&link, World::address(number)).await.map(TokioIo::new) }
        });
        let endpoint = tonic::transport::Endpoint::from_static("http://gateway");
        endpoint.connect_timeout(timing().attempt_timeout).connect_with_connector_lazy(connector)
    })
}

/// Notes how the supervisor fares, and has judged what it was refused.
async fn watch(world: Arc<World>, number: usize, supervisor: Supervisor) {
    let mut states = supervisor.state();
    let mut label = "";
    while states.changed().await.is_ok() {
        let state = states.borrow_and_update().clone();
        if let Some(token) = supervisor.token() {
            world.genuine(token.expose());
        }
        if state.label() != label {
            label = state.label();
            world.oracle.note(format!("supervisor-{number}: {}", describe(&state)));
        }
        if let State::Stranded { failure, .. } = &state {
            refused(&world, number, &supervisor, &failure.place);
        }
        if world.oracle.weakness == Weakness::SupervisorGivesUp
            && matches!(state, State::Stranded { .. } | State::Stale { .. })
        {
            supervisor.shutdown().await;
        }
    }
}

fn describe(state: &State) -> String {
    let failure = match state {
        State::Obtaining { failure } => failure.as_ref(),
        State::Stale { failure, .. } | State::Stranded { failure, .. } => Some(failure),
        _ => None,
    };
    failure.map_or(state.label().to_owned(), |failure| format!("{}: {failure}", state.label()))
}

/// What it holds was refused by a gateway, and so was what its file holds, if that is another token. One of the two
/// was refused last.
fn refused(world: &World, number: usize, supervisor: &Supervisor, place: &str) {
    let gateway = place.strip_prefix("gateway-").and_then(|number| number.parse::<usize>().ok());
    let Some(gateway) = gateway else { return };
    let held = supervisor.token().and_then(|token| Facts::of(token.expose()));
    let given = world.files.get(number).and_then(TokenFile::facts);
    let answered = world.time.now();
    let sent = answered.saturating_sub(timing().attempt_timeout);
    let clock = &world.gateways[gateway].clock;
    let wrong = [held, given].into_iter().flatten().all(|token| {
        let call = Call {
            gateway,
            clock,
            sent,
            answered,
            token: &token,
            maker: Maker::Keyring,
            answer: Answer::Rejected,
        };
        world.oracle.is_wrong(&call)
    });
    if wrong {
        let what = format!("gateway-{gateway} refused supervisor-{number} a renewal for a good token");
        world.oracle.violated(Claim::GoodIsNotRejected, what);
    }
}

/// A program that presents the supervisor's token every few seconds, through its layer.
async fn call(world: Arc<World>, number: usize, supervisor: Supervisor) {
    let host = Arc::clone(&world.supervisors[number]);
    let mut chance = host.chance.stream("calls", 0);
    let caller = Arc::new(Mutex::new(Caller::new(&world, number)));
    loop {
        tokio::time::sleep(chance.millis(1_000, 8_000)).await;
        host.awake().await;
        let gateway = chance.index(world.gateways.len());
        let wire = service_fn(|request: Request<()>| {
            let (caller, world) = (Arc::clone(&caller), Arc::clone(&world));
            async move { Ok::<_, std::convert::Infallible>(present(&world, &caller, gateway, &request).await) }
        });
        // Without a token nothing is sent.
        let _ = supervisor.layer().layer(wire).call(Request::new(())).await;
    }
}

async fn present(
    world: &World,
    caller: &Mutex<Caller>,
    gateway: usize,
    request: &Request<()>,
) -> Response<()> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let Some(facts) = world.genuine(token) else { return Response::default() };
    let status = match caller.lock().await.present(gateway, token, &facts, Maker::Keyring).await {
        Answer::Accepted => StatusCode::OK,
        Answer::Rejected => StatusCode::UNAUTHORIZED,
        Answer::Unavailable | Answer::Silence => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = Response::new(());
    *response.status_mut() = status;
    response
}
