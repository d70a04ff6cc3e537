//! What is logged, and what never is.

use std::io::Write;
use std::sync::{LazyLock, Mutex};
use std::thread::ThreadId;

use http::StatusCode;
use keystile_testkit::forger::{Forger, ForgingKey};
use tracing::{Level, Metadata};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::client::*;
use crate::world::*;

/// What one test sees of the log. The log is the whole process's: a subscriber of one thread beside others misses lines.
pub struct Log {
    entries: &'static Entries,
    began: usize,
    level: LevelFilter,
    thread: ThreadId,
}

type Entries = Mutex<Vec<Entry>>;

/// One line, and where it came from.
struct Entry {
    level: Level,
    thread: ThreadId,
    text: String,
}

impl Log {
    /// What is logged from now on, up to `level`. It is taken down at every level; of the libraries only warnings,
    /// since below that they print the headers that they handle.
    pub fn at(level: LevelFilter) -> Self {
        static ENTRIES: LazyLock<&Entries> = LazyLock::new(|| {
            let entries: &Entries = Box::leak(Box::default());
            let ours = [("keystile", LevelFilter::TRACE), ("audit", LevelFilter::TRACE)];
            let filter = Targets::new().with_default(LevelFilter::WARN).with_targets(ours);
            let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Pen { entries });
            let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
            tracing::subscriber::set_global_default(subscriber).expect("the only one");
            entries
        });
        let entries = *ENTRIES;
        let began = entries.lock().expect("not poisoned").len();
        Self { entries, began, level, thread: std::thread::current().id() }
    }

    fn chosen<T: FromIterator<String>>(&self, is: impl Fn(&Entry) -> bool) -> T {
        let entries = self.entries.lock().expect("not poisoned");
        let entries = entries.iter().skip(self.began).filter(|entry| entry.level <= self.level);
        entries.filter(|entry| is(entry)).map(|entry| entry.text.clone()).collect()
    }

    /// Everything, of whatever thread and test.
    pub fn text(&self) -> String {
        self.chosen(|_| true)
    }

    /// What this test's thread logged, on which its gateways run.
    pub fn mine(&self) -> String {
        self.chosen(|entry| entry.thread == self.thread)
    }

    /// The same, each as it was written.
    pub fn entries(&self) -> Vec<String> {
        self.chosen(|entry| entry.thread == self.thread)
    }

    pub fn lines(&self, with: &str) -> usize {
        self.mine().lines().filter(|line| line.contains(with)).count()
    }
}

#[derive(Clone, Copy)]
struct Pen {
    entries: &'static Entries,
}

/// Writes one line, whole.
struct Stroke {
    entries: &'static Entries,
    level: Level,
}

impl Write for Stroke {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        let entry = Entry { level: self.level, thread: std::thread::current().id(), text };
        self.entries.lock().expect("not poisoned").push(entry);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Pen {
    type Writer = Stroke;

    fn make_writer(&self) -> Stroke {
        Stroke { entries: self.entries, level: Level::ERROR }
    }

    fn make_writer_for(&self, line: &Metadata<'_>) -> Stroke {
        Stroke { entries: self.entries, level: *line.level() }
    }
}

#[tokio::test]
async fn t48_no_token_and_no_key_is_logged_at_any_level() {
    let log = Log::at(LevelFilter::TRACE);
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let channel = channel(gateway.addr).await;
    let mut tokens = vec![world.token().await];
    let kid = world.active().await;
    let key = world.private_key(&kid).await;
    tokens.push(refresh(&channel, tokens.first().map(String::as_str)).await.expect("refreshed").token);
    let now = world.clock_now().0;
    tokens.push(Forger::sandbox(&key, SANDBOX, now, now + 9000).signed(&ForgingKey::of(&key)));
    tokens.push(Forger::sandbox(&key, SANDBOX, now, now + 60).signed(&ForgingKey::from_seed([9; 32])));
    for token in &tokens {
        verify(gateway.addr, token).await;
        let _ = whoami(&channel, Some(token)).await;
        let _ = refresh(&channel, Some(token)).await;
        let _ = issue(&channel, Some(token)).await;
    }
    world.rotate().await;
    until_generation(gateway.admin, 2).await;
    let status = get(gateway.admin, "/status").await.body;
    let metrics = get(gateway.admin, "/metrics").await.body;
    assert!(gateway.stopped().await);
    let pem = key.to_pem();
    let body = pem.lines().find(|line| !line.starts_with('-')).expect("PEM has a body").to_owned();
    let text = log.text();
    assert!(text.contains("outcome=\"minted\"") && text.contains("loaded a new generation"), "{text}");
    for shown in [&text, &status, &metrics] {
        for token in &tokens {
            let [_, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
            assert!(!shown.contains(payload) && !shown.contains(signature), "a token was shown");
        }
        assert!(!shown.contains(&body), "a private key was shown");
    }
}

#[tokio::test]
async fn minting_is_audited_with_both_keys() {
    let log = Log::at(LevelFilter::INFO);
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let token = world.token().await;
    let old = world.active().await;
    let new = world.rotate().await;
    until_generation(gateway.admin, 2).await;
    refresh(&channel(gateway.addr).await, Some(&token)).await.expect("refreshed");
    let text = log.mine();
    let line = text.lines().find(|line| line.contains("outcome=\"minted\"")).expect("an audit line");
    for part in
        ["audit", "operation=\"refresh\"", SANDBOX, &format!("kid={new}"), &format!("presented={old}")]
    {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[tokio::test]
async fn an_alarm_is_raised_by_a_good_signature_only() {
    let log = Log::at(LevelFilter::ERROR);
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let old = world.active().await;
    let key = world.private_key(&old).await;
    world.rotate().await;
    until_generation(gateway.admin, 2).await;
    world.clock.advance(500);
    until("confirmation", || async {
        (status(gateway.admin).await.confirmed_seconds_ago == 0).then_some(())
    })
    .await;
    let now = world.clock_now().0;
    let careless = Forger::sandbox(&key, SANDBOX, now, now + 60);
    let bad = verify(gateway.addr, &careless.signed(&ForgingKey::from_seed([9; 32]))).await;
    assert_eq!(bad.code, StatusCode::UNAUTHORIZED);
    assert_eq!(log.lines("alarm="), 0, "anybody can make this one");
    let stolen = verify(gateway.addr, &careless.signed(&ForgingKey::of(&key))).await;
    assert_eq!(stolen.code, StatusCode::UNAUTHORIZED);
    assert_eq!(log.lines("alarm=\"signed-after-supersession\""), 1, "{}", log.mine());
    assert_eq!(metric(gateway.admin, "keystile_alarms_total").await, Some(1.0));
}
