//! What is refused, with the codes and texts that supervisors act on.

use std::net::SocketAddr;

use http::StatusCode;
use keystile_keyring::plan::Verb;
use keystile_testkit::forger::{Forger, ForgingKey, sign_raw};
use tonic::Code;
use tonic::transport::Channel;
use tracing_subscriber::filter::LevelFilter;

use crate::client::*;
use crate::logs::Log;
use crate::world::*;

fn told(status: &tonic::Status) -> (Code, &str) {
    (status.code(), status.message())
}

#[tokio::test]
async fn callers_are_told_what_openshell_tells_them() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let channel = channel(gateway.addr).await;
    let key = world.private_key(&world.active().await).await;
    let (signer, other) = (ForgingKey::of(&key), ForgingKey::from_seed([7; 32]));
    let now = START.0 + 1000;
    let good = || Forger::sandbox(&key, SANDBOX, now, now + 600);
    let foreign = good().header("kid", "theirs").claim("iss", "https://idp.example");
    let cases = [
        (None, "missing authorization header"),
        (Some(foreign.signed(&signer)), "missing authorization header"),
        (Some("garbage".into()), "invalid token"),
        (Some(good().unsigned()), "invalid token: InvalidSignature"),
        (Some(good().header("alg", "none").unsigned()), "invalid token"),
        (Some(good().header("alg", "HS256").hmac(signer.public_bytes())), "invalid token"),
        (Some(good().signed(&other)), "invalid token: InvalidSignature"),
        (
            Some(good().claim("iss", "openshell-gateway:other").signed(&signer)),
            "invalid token: InvalidIssuer",
        ),
        (Some(good().claim("aud", "else").signed(&signer)), "invalid token: InvalidAudience"),
        (
            Some(good().claim("exp", now - 61).claim("iat", now - 600).signed(&signer)),
            "invalid token: ExpiredSignature",
        ),
        (Some(good().without_claim("exp").signed(&signer)), "invalid token: JSON error: missing field `exp`"),
        (Some(good().claim("exp", -1).signed(&signer)), "invalid token: Missing required claim: exp"),
        (Some(good().header("kid", "unknown").signed(&signer)), "signing key not accepted"),
        (Some(good().claim("exp", 0).signed(&signer)), "signing key not accepted"),
        (Some(good().claim("exp", now + 9_000).signed(&signer)), "signing key not accepted"),
        (
            Some(Forger::extension(&key, "urn:x", SANDBOX, now, now + 600).signed(&signer)),
            "extension tokens cannot authenticate to the gateway",
        ),
    ];
    let mut asked = tokio::task::JoinSet::new();
    for (token, text) in cases {
        asked.spawn(is_told(gateway.addr, channel.clone(), token, text));
    }
    asked.join_all().await;
}

async fn is_told(addr: SocketAddr, channel: Channel, token: Option<String>, text: &'static str) {
    let token = token.as_deref();
    let headers = bearer(token);
    let (issued, refreshed, who, verified) = tokio::join!(
        issue(&channel, token),
        refresh(&channel, token),
        whoami(&channel, token),
        get_with(addr, "/verify", &headers),
    );
    let answers = [issued.expect_err("refused"), refreshed.expect_err("refused"), who.expect_err("refused")];
    for status in answers {
        assert_eq!(told(&status), (Code::Unauthenticated, text), "{token:?}");
    }
    assert_eq!(verified.code, StatusCode::UNAUTHORIZED, "{token:?}");
    assert_eq!(verified.header("x-sandbox-id"), None);
    let challenge = if token.is_some() { "Bearer error=\"invalid_token\"" } else { "Bearer" };
    assert_eq!(verified.header("www-authenticate"), Some(challenge), "{token:?}");
}

fn bearer(token: Option<&str>) -> Vec<(&'static str, &'static str)> {
    token.map(|token| ("authorization", &*format!("Bearer {token}").leak())).into_iter().collect()
}

#[tokio::test]
async fn a_good_token_cannot_bootstrap() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let channel = channel(gateway.addr).await;
    let status = issue(&channel, Some(&world.token().await)).await.expect_err("it must refresh");
    let text = "this principal cannot mint a sandbox token; use RefreshSandboxToken";
    assert_eq!(told(&status), (Code::PermissionDenied, text));
}

#[tokio::test]
async fn t12_a_retired_key_verifies_nothing_though_nobody_cleaned_up() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let old = world.active().await;
    let key = world.private_key(&old).await;
    world.rotate().await;
    until_generation(gateway.admin, 2).await;
    let manifest = world.manifest().await;
    let end = manifest.key(&old).and_then(|key| key.superseded).and_then(|bounds| bounds.accept_until);
    let end = end.expect("its tokens end, and so does its window");
    let bounds = manifest.key(&old).and_then(|key| key.superseded).expect("it was superseded");
    // The longest-lived token that the key can have signed.
    let last = bounds.last_iat.0;
    let token = Forger::sandbox(&key, SANDBOX, last, last + 3600).signed(&ForgingKey::of(&key));
    world.clock.advance(end.since(START.plus(1001)));
    until_confirmed(&world, &gateway).await;
    assert_eq!(verify(gateway.addr, &token).await.code, StatusCode::OK, "its last second");
    world.clock.advance(1);
    let channel = channel(gateway.addr).await;
    let status = whoami(&channel, Some(&token)).await.expect_err("the window is over");
    assert_eq!(told(&status), (Code::Unauthenticated, "signing key not accepted"));
    assert_eq!(metric(gateway.admin, "keystile_rejections_total{reason=\"retired-key\"}").await, Some(1.0));
    assert_eq!(world.manifest().await.keys.len(), 2, "nothing was pruned");
}

/// A manual clock that jumped makes the keyring look old until the next read.
async fn until_confirmed(world: &World, gateway: &Running) {
    world.store.inner.witness().await.expect("readable");
    until("confirmation", || async {
        (status(gateway.admin).await.confirmed_seconds_ago == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn t26_a_dead_key_is_unauthenticated_so_that_supervisors_bootstrap_again() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let channel = channel(gateway.addr).await;
    let token = world.token().await;
    let old = world.active().await;
    world.apply(Verb::Revoke { kid: old, descendants: false }, Some("stolen")).await;
    until_generation(gateway.admin, 2).await;
    let status = refresh(&channel, Some(&token)).await.expect_err("revoked");
    assert_eq!(told(&status), (Code::Unauthenticated, "signing key not accepted"));
    // And where nobody can know, it is not.
    world.store.fail(true);
    let key = world.private_key(&world.active().await).await;
    let unknown = Forger::sandbox(&key, SANDBOX, START.0 + 1000, START.0 + 1600).header("kid", "unknown");
    let status =
        refresh(&channel, Some(&unknown.signed(&ForgingKey::of(&key)))).await.expect_err("who knows");
    assert_eq!(status.code(), Code::Unavailable);
    let hint = status.metadata().get("retry-after-ms").expect("a hint").to_str().expect("ASCII");
    assert!(hint.parse::<u64>().is_ok(), "{hint}");
}

#[tokio::test]
async fn t27_a_hostile_kid_is_refused_and_never_shown() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let key = world.private_key(&world.active().await).await;
    let signer = ForgingKey::of(&key);
    let good = Forger::sandbox(&key, SANDBOX, START.0 + 1000, START.0 + 1600);
    let kid = world.active().await;
    let twice = format!("{{\"alg\":\"EdDSA\",\"kid\":\"{kid}\",\"kid\":\"x\"}}");
    let hostile = [
        good.clone().header("kid", "a".repeat(5_000)).signed(&signer),
        good.clone().header("kid", "line\nbreak").signed(&signer),
        good.clone().header("kid", "\u{1b}[31mred").signed(&signer),
        good.clone().header("kid", "../../etc/passwd").signed(&signer),
        good.clone().header("kid", 7).signed(&signer),
        good.clone().header("kid", "").signed(&signer),
        good.clone().without_header("kid").signed(&signer),
        sign_raw(&twice, &good.claims_json(), &signer),
    ];
    for token in &hostile {
        let answer = verify(gateway.addr, token).await;
        assert_eq!(answer.code, StatusCode::UNAUTHORIZED, "{token}");
        assert!(answer.body.is_empty(), "{}", answer.body);
    }
    let metrics = get(gateway.admin, "/metrics").await.body;
    assert!(!metrics.contains("passwd") && !metrics.contains("[31m"), "{metrics}");
}

/// What a log would have to be read with care for: a line's end, a terminal's command, letters that turn the line
/// round, more than any name has, and a line as the log itself writes it.
const HOSTILE: [&str; 6] = [
    "line\nFORGED",
    "line\r\nFORGED",
    "\u{1b}[2K\u{1b}[31mFORGED",
    "FORGED\u{202e}DEGROF",
    "x\n2027-01-15T08:00:00.000000Z  INFO audit: FORGED operation=\"refresh\" outcome=\"minted\" sandbox=admin",
    "\u{85}FORGED\u{2028}FORGED\0",
];

/// A line of the log is one line, and nothing in it moves a cursor or turns it round.
fn assert_is_one_line(entry: &str) {
    let line = entry.strip_suffix('\n').expect("a line ends");
    let bad = |letter: char| letter.is_control() || ('\u{200e}'..='\u{202f}').contains(&letter);
    assert!(!line.chars().any(bad), "{line:?}");
    assert!(!line.contains("FORGED"), "nobody said this: {line:?}");
    assert!(line.starts_with("20"), "it begins with the instant: {line:?}");
}

#[tokio::test]
async fn t27_hostile_kids_and_sandbox_ids_write_no_line_of_the_log() {
    let log = Log::at(LevelFilter::TRACE);
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let channel = channel(gateway.addr).await;
    let key = world.private_key(&world.active().await).await;
    let (signer, other) = (ForgingKey::of(&key), ForgingKey::from_seed([7; 32]));
    let good = Forger::sandbox(&key, SANDBOX, START.0 + 1000, START.0 + 1600);
    let endless = format!("FORGED{}", "x".repeat(294));
    for text in HOSTILE.into_iter().chain([endless.as_str()]) {
        let subject = format!("spiffe://openshell/sandbox/{text}");
        let claimed = [
            good.clone().header("kid", text),
            good.clone().claim("sub", text),
            good.clone().claim("sub", subject.as_str()),
            good.clone().claim("sandbox_id", text),
            good.clone().claim("sub", subject).claim("sandbox_id", text),
        ];
        for token in claimed.iter().flat_map(|token| [token.signed(&signer), token.signed(&other)]) {
            is_refused_without_an_echo(gateway.addr, &channel, &token).await;
        }
        // Five lines of each class in ten seconds: of either token of a class of this text, one is written at least.
        world.clock.advance(10);
    }
    // What is good goes on, and is audited.
    refresh(&channel, Some(&world.token().await)).await.expect("refreshed");
    let entries = log.entries();
    for entry in &entries {
        assert_is_one_line(entry);
    }
    let audited = |what: &str| entries.iter().filter(|entry| entry.contains(what)).count();
    for reason in ["malformed", "bad-signature", "missing-claim", "subject-mismatch"] {
        let found = audited(&format!("reason=\"{reason}\""));
        assert!(found >= 5 * (HOSTILE.len() + 1), "{found} lines of {reason}");
    }
    assert_eq!(audited("outcome=\"minted\""), 1);
    println!("{} hostile texts, {} lines", HOSTILE.len() + 1, entries.len());
}

/// Every way in refuses it, and says nothing of what is in it.
async fn is_refused_without_an_echo(addr: SocketAddr, channel: &Channel, token: &str) {
    assert_eq!(verify(addr, token).await.code, StatusCode::UNAUTHORIZED, "{token}");
    let (issued, refreshed, who) = tokio::join!(
        issue(channel, Some(token)),
        refresh(channel, Some(token)),
        whoami(channel, Some(token))
    );
    for status in [issued.err(), refreshed.err(), who.err()] {
        let status = status.expect("refused");
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        assert!(!status.message().contains("FORGED"), "{status}");
    }
}

#[tokio::test]
async fn t30_a_token_without_a_known_kid_is_tried_with_no_key() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let key = world.private_key(&world.active().await).await;
    let good = Forger::sandbox(&key, SANDBOX, START.0 + 1000, START.0 + 1600);
    for token in [good.clone().without_header("kid"), good.header("kid", "first")] {
        let answer = verify(gateway.addr, &token.signed(&ForgingKey::of(&key))).await;
        assert_eq!(answer.code, StatusCode::UNAUTHORIZED);
    }
    let labels = ["missing-kid", "unknown-kid"]
        .map(|reason| format!("keystile_rejections_total{{reason=\"{reason}\"}}"));
    for label in labels {
        assert_eq!(metric(gateway.admin, &label).await, Some(1.0), "{label}");
    }
}

#[tokio::test]
async fn headers_that_a_client_sends_never_come_back() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let token = format!("Bearer {}", world.token().await);
    let smuggled = [
        ("x-sandbox-id", "admin"),
        ("x-keystile-kid", "k"),
        ("x-keystile-key-state", "active"),
        ("x-forwarded-uri", "/admin"),
    ];
    let mut headers = smuggled.to_vec();
    let refused = get_with(gateway.addr, "/verify", &headers).await;
    assert_eq!(refused.code, StatusCode::UNAUTHORIZED);
    assert!(smuggled.iter().all(|(name, _)| refused.header(name).is_none()), "{:?}", refused.headers);
    headers.push(("authorization", &token));
    let accepted = get_with(gateway.addr, "/verify", &headers).await;
    assert_eq!(accepted.headers.get_all("x-sandbox-id").iter().count(), 1);
    assert_eq!(accepted.header("x-sandbox-id"), Some(SANDBOX));
}

#[tokio::test]
async fn several_authorization_headers_are_refused_even_if_each_is_good() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let token = format!("Bearer {}", world.token().await);
    let headers = [("authorization", token.as_str()), ("authorization", token.as_str())];
    let answer = get_with(gateway.addr, "/verify", &headers).await;
    assert_eq!(answer.code, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_request\""));
}

#[tokio::test]
async fn unknown_paths_are_answered_in_the_callers_protocol() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    assert_eq!(get(gateway.addr, "/nothing").await.code, StatusCode::NOT_FOUND);
    assert_eq!(get(gateway.addr, "/metrics").await.code, StatusCode::NOT_FOUND, "the admin listener's");
    let grpc = get_with(
        gateway.addr,
        "/openshell.v1.OpenShell/CreateSandbox",
        &[("content-type", "application/grpc")],
    );
    assert_eq!(grpc.await.header("grpc-status"), Some("12"), "unimplemented");
}
