//! What is logged, and what never is.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::web::*;
use crate::world::*;

/// The log lines of this process, of all its tests.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The log, which begins with the first call. It is the whole process's: a subscriber of one thread beside others
    /// misses lines.
    pub fn begun() -> &'static Self {
        static LOG: LazyLock<Log> = LazyLock::new(|| {
            let log = Log::default();
            let filter = Targets::new().with_target("keystile", LevelFilter::TRACE);
            let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(log.clone());
            let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
            tracing::subscriber::set_global_default(subscriber).expect("the only one");
            log
        });
        &LOG
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_token_is_logged_and_a_service_that_prints_its_headers_prints_none() {
    let world = World::begun().await;
    let (addr, _) = serve(world.verifier().await.layer()).await;
    let token = world.token_of("sandbox-logged").await;
    let signature = token.rsplit('.').next().unwrap();
    let printed = text(open(addr, "/headers", &token).await).await;
    assert!(printed.contains("\"authorization\": Sensitive"), "{printed}");
    assert!(!printed.contains(signature));
    let (stream, _) = events(addr, &token).await;
    let kid = world.active().await;
    world.revoke().await;
    broken_off(stream).await;
    open(addr, "/hello", &token).await;
    let text = Log::begun().text();
    assert!(
        text.contains("a stream ends with its token reason=\"revoked-key\" sandbox=sandbox-logged"),
        "{text}"
    );
    assert!(text.contains(&format!("a token is refused reason=\"revoked-key\" kid={kid}")), "{text}");
    assert!(!text.contains(signature), "{text}");
}
