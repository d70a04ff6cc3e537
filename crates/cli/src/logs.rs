//! The log: lines on standard error, beside the answers.

use std::io::Write;

use keystile_gateway::config::{Config, LogFormat, LogLevel};
use tracing::Level;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::console::harmless;

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logs {
    /// The least severe level of Keystile's own lines.
    level: Level,
    /// Whether each line is a JSON object.
    json: bool,
    /// Whether whoever writes a line goes on before it is out.
    queued: bool,
}

/// An open log. Once it is dropped, what was logged is out, unless nobody reads it.
#[derive(Default)]
#[must_use = "the last lines may be lost where this is dropped early"]
pub struct Journal {
    _queue: Option<WorkerGuard>,
}

/// How many lines may wait. Some hundred bytes each; those beyond are lost.
const QUEUE: usize = 4096;

/// The log of a verb: warnings, and more with each `-v`; in JSON where its answer is.
pub(crate) fn of_verb(verbose: u8, json: bool) -> Logs {
    Logs { level: raised(Level::WARN, verbose), json, queued: false }
}

/// The log of a gateway. It is queued: a reader that stands still must not hold up whoever presents a token.
pub(crate) fn of_gateway(config: &Config, verbose: u8) -> Logs {
    let level = match config.log_level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    Logs { level: raised(level, verbose), json: config.log_format == LogFormat::Json, queued: true }
}

fn raised(level: Level, by: u8) -> Level {
    let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    let at = levels.iter().position(|one| *one == level).unwrap_or_default();
    levels.get(at + usize::from(by)).copied().unwrap_or(Level::TRACE)
}

impl Logs {
    /// Writes the log of this process from now on. A second call changes nothing.
    pub fn install(self) -> Journal {
        let (lines, queue) = if self.queued {
            let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE);
            let (writer, guard) = builder.finish(std::io::stderr());
            (self.lines(move || writer.clone()), Some(guard))
        } else {
            (self.lines(std::io::stderr), None)
        };
        let _ = tracing_subscriber::registry().with(lines.with_filter(self.filter())).try_init();
        Journal { _queue: queue }
    }

    /// Which lines are written.
    fn filter(self) -> Targets {
        // Libraries are noisy below warnings, and some print what they send.
        let others = LevelFilter::from_level(self.level.min(Level::WARN));
        let ours = LevelFilter::from_level(self.level);
        // It writes an error for each call that fails; whoever made the call says so, once.
        let kube = ("kube_client", LevelFilter::OFF);
        Targets::new().with_default(others).with_targets([("keystile", ours), ("audit", ours), kube])
    }

    /// The lines, into what `writer` makes. Without colours: their codes would be escaped like anybody's.
    fn lines<W: Write + 'static>(
        self,
        writer: impl Fn() -> W + Send + Sync + 'static,
    ) -> Box<dyn Layer<Registry> + Send + Sync> {
        let lines = fmt::layer().with_writer(move || Escaping(writer())).with_ansi(false);
        if self.json { lines.json().flatten_event(true).boxed() } else { lines.boxed() }
    }
}

/// Writes each line so that whatever stands in it stays in it: see [`harmless`].
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    /// `bytes` is one whole line: that is how the layer writes.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = harmless(text.trim_end_matches('\n')) + "\n";
        self.0.write_all(line.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What somebody else may have named a file, in a field and in the message.
    const NAME: &str = "gate\x1b[31mway\n2026-01-01 ERROR forged\u{202e}\r";

    #[test]
    fn a_library_does_not_write_a_line_for_each_call_that_fails() {
        let filter = Logs { level: Level::INFO, json: false, queued: false }.filter();
        assert!(filter.would_enable("keystile_replica::reload", &Level::INFO));
        assert!(filter.would_enable("hyper", &Level::WARN));
        assert!(!filter.would_enable("kube_client::client::builder", &Level::ERROR));
    }

    #[test]
    fn nothing_in_a_line_leaves_it() {
        for json in [false, true] {
            let written = Written::default();
            let writer = written.clone();
            let logs = Logs { level: Level::INFO, json, queued: false };
            let subscriber = tracing_subscriber::registry().with(logs.lines(move || writer.clone()));
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(why = NAME, shown = %NAME, "{NAME}");
            });
            let text = String::from_utf8(written.0.lock().expect("not poisoned").clone()).expect("UTF-8");
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            let inside = text.trim_end_matches('\n');
            assert!(!inside.chars().any(|letter| letter.is_control() || letter == '\u{202e}'), "{text}");
            assert!(text.contains("forged"), "{text}");
            if json {
                let line: serde_json::Value = serde_json::from_str(&text).expect("a JSON object");
                assert_eq!(line["why"], NAME, "a reader of JSON has it as it was");
            }
        }
    }

    #[test]
    fn each_v_says_more() {
        let levels = [0, 1, 2, 3, 200].map(|verbose| of_verb(verbose, false).level);
        assert_eq!(levels, [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE, Level::TRACE]);
    }
}
