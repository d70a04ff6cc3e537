//! Floods of bad tokens cost a bounded amount of work, log and memory.

use keystile_gateway::Config;
use keystile_testkit::forger::{Forger, ForgingKey};
use tokio::task::JoinSet;
use tonic::Code;
use tracing_subscriber::filter::LevelFilter;

use crate::client::*;
use crate::logs::Log;
use crate::world::*;

#[tokio::test]
async fn t25_ten_thousand_unknown_kids_read_the_store_once_a_second() {
    let log = Log::at(LevelFilter::INFO);
    let world = World::begun().await;
    let limits = keystile_gateway::config::Limits { requests: 10_000, ..config().limits };
    let gateway = world.gateway_with(Config { limits, ..config() }).await.expect("it starts");
    let key = world.private_key(&world.active().await).await;
    let signer = ForgingKey::of(&key);
    let now = world.clock_now().0;
    let metrics_before = get(gateway.admin, "/metrics").await.body.lines().count();
    let (reads, began) = (world.store.reads(), tokio::time::Instant::now());
    let mut flood = JoinSet::new();
    for number in 0..10 {
        let channel = channel(gateway.addr).await;
        for turn in 0..1000 {
            let token =
                Forger::sandbox(&key, SANDBOX, now, now + 60).header("kid", format!("kid-{number}-{turn}"));
            let (channel, token) = (channel.clone(), token.signed(&signer));
            flood.spawn(async move { whoami(&channel, Some(&token)).await.expect_err("unknown").code() });
        }
    }
    let codes = flood.join_all().await;
    let seconds = began.elapsed().as_secs() + 1;
    let reads = world.store.reads() - reads;
    assert!(reads <= seconds + 1, "{reads} reads in {seconds} s");
    assert_eq!(codes.len(), 10_000);
    assert!(
        codes.iter().all(|code| matches!(code, Code::Unauthenticated | Code::Unavailable)),
        "nothing else"
    );
    assert!(codes.contains(&Code::Unauthenticated));
    assert!(log.lines("unknown-kid") as u64 <= 5 * (seconds / 10 + 2), "{} lines", log.lines("unknown-kid"));
    let metrics_after = get(gateway.admin, "/metrics").await.body.lines().count();
    assert_eq!(metrics_before, metrics_after, "no label was made by a caller");
    // Good tokens were served all the time and still are.
    let good = world.token().await;
    whoami(&channel(gateway.addr).await, Some(&good)).await.expect("a good token");
}

#[tokio::test]
async fn a_flood_of_bad_signatures_reads_nothing() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let key = world.private_key(&world.active().await).await;
    let token = Forger::sandbox(&key, SANDBOX, 0, 1).signed(&ForgingKey::from_seed([3; 32]));
    until("a first read", || async { (world.store.reads() >= 2).then_some(()) }).await;
    let (reads, began) = (world.store.reads(), tokio::time::Instant::now());
    let channel = channel(gateway.addr).await;
    for _ in 0..500 {
        let status = whoami(&channel, Some(&token)).await.expect_err("not our key");
        assert_eq!(status.message(), "invalid token: InvalidSignature");
    }
    let periodic = began.elapsed().as_secs() / 5 + 1;
    assert!(world.store.reads() - reads <= periodic, "only the periodic reads");
}

/// Beyond a few a second their answers are held back, and nobody else's are.
#[tokio::test]
async fn a_flood_of_bad_signatures_waits_and_good_tokens_do_not() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let key = world.private_key(&world.active().await).await;
    let bad = Forger::sandbox(&key, SANDBOX, 0, 1).signed(&ForgingKey::from_seed([3; 32]));
    for _ in 0..50 {
        verify(gateway.addr, &bad).await;
    }
    let held_back = || metric(gateway.admin, "keystile_held_back_total");
    assert_eq!(held_back().await, Some(0.0), "an honest mistake is answered at once");
    let good = world.token().await;
    for turn in 1..=4_u32 {
        assert_eq!(verify(gateway.addr, &bad).await.code, http::StatusCode::UNAUTHORIZED);
        assert_eq!(held_back().await, Some(f64::from(turn)));
        assert_eq!(verify(gateway.addr, &good).await.code, http::StatusCode::OK);
        assert_eq!(held_back().await, Some(f64::from(turn)), "a good token is not");
    }
    world.clock.advance(1);
    verify(gateway.addr, &bad).await;
    assert_eq!(held_back().await, Some(4.0), "another second");
}
