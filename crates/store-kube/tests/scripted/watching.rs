//! Watches: what the server forgets, ends, or leaves hanging.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keystile_store::Store;
use serde_json::{Value, json};

use keystile_testkit::ApiServer;
use keystile_testkit::api_server::{answer, lines, status};

use crate::server::{is_of_store, metadata, store};

fn event(kind: &str, version: &str) -> Value {
    let mut object = metadata(version);
    object["kind"] = "PartialObjectMetadata".into();
    json!({"type": kind, "object": object})
}

fn gone() -> Value {
    json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
}

/// A server whose Secret has the versions of `reads`, one a read, and whose watches answer `watches`, one
/// each; afterwards all is quiet.
async fn server(reads: &'static [&'static str], watches: Vec<(Vec<Value>, bool)>) -> ApiServer {
    let (looks, turn) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let watches = Arc::new(watches);
    ApiServer::start(move |asked, _| {
        if !is_of_store(asked) {
            return asked.is_watch().then(|| lines(&[], false));
        }
        if asked.is_watch() {
            let number = turn.fetch_add(1, Ordering::SeqCst);
            return Some(
                watches.get(number).map_or_else(|| lines(&[], false), |(said, ends)| lines(said, *ends)),
            );
        }
        let number = looks.fetch_add(1, Ordering::SeqCst).min(reads.len() - 1);
        Some(answer(200, metadata(reads[number]).to_string()))
    })
    .await
}

fn versions(server: &ApiServer) -> Vec<String> {
    let version = |query: &str| {
        let found = query.split('&').find_map(|part| part.strip_prefix("resourceVersion="));
        found.unwrap_or("none").to_owned()
    };
    server
        .asked(|asked| is_of_store(asked) && asked.is_watch())
        .iter()
        .map(|asked| version(&asked.query))
        .collect()
}

/// Waits until the store was watched `count` times.
async fn watched(server: &ApiServer, count: usize) {
    while versions(server).len() < count {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// The compacted version is told inside an answer 200; what was missed is found by reading.
#[tokio::test]
async fn a_version_that_is_gone_is_read_anew_at_once() {
    let server = server(&["5", "9"], vec![(vec![gone()], false)]).await;
    let store = store(&server);
    let mut ticks = store.watch();
    watched(&server, 2).await;
    assert_eq!(versions(&server), ["5", "9"]);
    ticks.changed().await.unwrap();
    assert!(*ticks.borrow() >= 2, "both versions were news: {}", *ticks.borrow());
}

/// A server that always answers 410 is not hammered: the second time there is a wait.
#[tokio::test]
async fn a_version_that_is_gone_for_good_is_asked_for_ever_more_seldom() {
    let server = server(&["5"], (0..50).map(|_| (vec![gone()], false)).collect()).await;
    let store = store(&server);
    let _ticks = store.watch();
    watched(&server, 2).await;
    let began = tokio::time::Instant::now();
    watched(&server, 4).await;
    assert!(began.elapsed() >= std::time::Duration::from_millis(750), "{:?}", began.elapsed());
}

/// A bookmark is no change, and where the next watch goes on.
#[tokio::test]
async fn a_bookmark_moves_the_watch_on_and_ticks_nobody() {
    let server = server(&["5"], vec![(vec![event("MODIFIED", "6"), event("BOOKMARK", "50")], true)]).await;
    let store = store(&server);
    let ticks = store.watch();
    watched(&server, 2).await;
    assert_eq!(versions(&server), ["5", "50"]);
    assert_eq!(*ticks.borrow(), 3, "the first look at each of two Secrets, and one change");
}

#[tokio::test]
async fn a_deleted_secret_and_its_successor_are_news() {
    let said = vec![event("DELETED", "6"), event("ADDED", "7")];
    let server = server(&["5"], vec![(said, false)]).await;
    let store = store(&server);
    let mut ticks = store.watch();
    while *ticks.borrow_and_update() < 4 {
        ticks.changed().await.unwrap();
    }
}

/// I11: a watch of Secrets would carry every private key; only metadata is asked for.
#[tokio::test]
async fn i11_no_private_key_comes_with_a_watch() {
    let server = server(&["5"], Vec::new()).await;
    let store = store(&server);
    let _ticks = store.watch();
    watched(&server, 1).await;
    for asked in server.asked(|asked| asked.path.contains("/secrets")) {
        assert!(asked.accept.contains("as=PartialObjectMetadata"), "{asked:?}");
    }
    let watch = server.asked(|asked| asked.is_watch() && is_of_store(asked)).remove(0);
    assert!(watch.query.contains("allowWatchBookmarks=true"), "{watch:?}");
    let lasts = watch.query.split("timeoutSeconds=").nth(1).unwrap().split('&').next().unwrap();
    let lasts: u64 = lasts.parse().unwrap();
    assert!((240..=300).contains(&lasts), "{lasts} s");
}

/// A server that refuses is asked again, later.
#[tokio::test]
async fn a_refused_watch_goes_on_once_it_is_allowed() {
    let refusals = AtomicUsize::new(0);
    let server = ApiServer::start(move |asked, _| {
        if asked.is_watch() && is_of_store(asked) && refusals.fetch_add(1, Ordering::SeqCst) < 1 {
            return Some(status(403));
        }
        if asked.is_watch() {
            return Some(lines(&[event("MODIFIED", "6")], false));
        }
        is_of_store(asked).then(|| answer(200, metadata("5").to_string()))
    })
    .await;
    let store = store(&server);
    let _ticks = store.watch();
    watched(&server, 2).await;
    assert_eq!(versions(&server), ["5", "5"]);
}

#[tokio::test]
async fn the_watch_ends_with_the_store() {
    let server = server(&["5"], Vec::new()).await;
    let store = store(&server);
    let mut ticks = store.watch();
    drop(store);
    while ticks.changed().await.is_ok() {}
}
