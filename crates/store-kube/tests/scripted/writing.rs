//! Changes whose answer is lost, or is not what was asked for.

use http::Method;
use keystile_store::conformance::Sample;
use keystile_store::{CommitError, Store};
use keystile_testkit::api_server::Response;

use keystile_testkit::ApiServer;
use keystile_testkit::api_server::{Asked, answer, broken, status};

use crate::server::{is_of_store, secret, store};

/// A change, at a server that answers `patched` to the write itself.
async fn change(patched: impl Fn() -> Response + Send + Sync + 'static) -> (CommitError, ApiServer) {
    let mut sample = Sample::new();
    let (held, base) = (secret(&sample).to_string(), sample.base());
    let server = ApiServer::start(move |asked, _| {
        if asked.query.contains("dryRun") {
            return Some(answer(201, held.clone()));
        }
        match (&asked.method, is_of_store(asked)) {
            (&Method::GET, true) => Some(answer(200, held.clone())),
            (&Method::PATCH, true) => Some(patched()),
            _ => None,
        }
    })
    .await;
    sample.bump();
    let error = store(&server).compare_and_swap(sample.on(base)).await.unwrap_err();
    (error, server)
}

fn is_write(asked: &Asked) -> bool {
    asked.method == Method::PATCH && !asked.query.contains("dryRun")
}

/// T37: who cannot know whether a change happened says so, and never sends it a second time.
#[tokio::test]
async fn t37_a_change_whose_answer_is_lost_is_sent_once_and_told_as_unknown() {
    for answer in [broken as fn() -> Response, || status(504), || status(500), || answer(200, "not JSON")] {
        let (error, server) = change(answer).await;
        assert!(matches!(error, CommitError::Unknown(_)), "{error}");
        assert!(error.to_string().contains("keystile status"), "{error}");
        assert_eq!(server.asked(is_write).len(), 1);
    }
}

#[tokio::test]
async fn a_change_that_is_refused_changed_nothing() {
    for code in [400, 403, 422, 429] {
        let (error, server) = change(move || status(code)).await;
        let CommitError::Io(why) = &error else { panic!("{code}: {error}") };
        assert!(why.source.to_string().contains(&code.to_string()), "{}", why.source);
        assert_eq!(server.asked(is_write).len(), 1);
    }
}

/// An admission webhook may store something else than what was sent.
#[tokio::test]
async fn a_change_that_was_stored_otherwise_is_told() {
    let other = secret(&Sample::new()).to_string();
    let (error, _) = change(move || answer(200, other.clone())).await;
    assert!(matches!(error, CommitError::Unknown(_)), "{error}");
}

/// Somebody who changes the Secret each time between read and write.
#[tokio::test]
async fn a_change_that_is_always_overtaken_gives_up() {
    let (error, server) = change(|| status(409)).await;
    assert!(matches!(error, CommitError::Locked { .. }), "{error}");
    assert_eq!(server.asked(is_write).len(), 5);
}

/// The write names the object that was read, and its version.
#[tokio::test]
async fn i6_a_write_is_bound_to_what_was_read() {
    let sample = Sample::new();
    let held = secret(&sample).to_string();
    let server = ApiServer::start(move |asked, body| {
        if asked.query.contains("dryRun") {
            return Some(answer(201, held.clone()));
        }
        if is_write(asked) {
            let named = &body["metadata"];
            let bound = named["resourceVersion"] == "7" && named["uid"] == "u1";
            return Some(status(if bound { 409 } else { 400 }));
        }
        is_of_store(asked).then(|| answer(200, held.clone()))
    })
    .await;
    let mut next = sample.copy();
    next.bump();
    let error = store(&server).compare_and_swap(next.on(sample.base())).await.unwrap_err();
    assert!(matches!(error, CommitError::Locked { .. }), "overtaken each time: {error}");
    assert_eq!(server.asked(is_write).len(), 5);
}

/// Without a witness no change is made.
#[tokio::test]
async fn a_witness_that_cannot_be_written_stops_the_change_before_it_happens() {
    let mut sample = Sample::new();
    let (held, base) = (secret(&sample).to_string(), sample.base());
    let server = ApiServer::start(move |asked, _| {
        if asked.method == Method::POST {
            return Some(status(403));
        }
        is_of_store(asked).then(|| answer(200, held.clone()))
    })
    .await;
    sample.bump();
    let error = store(&server).compare_and_swap(sample.on(base)).await.unwrap_err();
    let CommitError::Io(why) = &error else { panic!("{error}") };
    assert!(why.to_string().contains("keys-witness"), "{why}");
    assert_eq!(server.asked(is_write).len(), 0);
}
