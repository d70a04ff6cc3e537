//! The log: lines on standard error, beside the answers.

use std::io::IsTerminal;

use keystile_gateway::config::{Config, LogFormat, LogLevel};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logs {
    /// The least severe level of Keystile's own lines.
    level: Level,
    /// Whether each line is a JSON object.
    json: bool,
}

/// The log of a verb: warnings, and more with each `-v`.
pub(crate) fn of_verb(verbose: u8) -> Logs {
    Logs { level: raised(Level::WARN, verbose), json: false }
}

/// The log of a gateway.
pub(crate) fn of_gateway(config: &Config, verbose: u8) -> Logs {
    let level = match config.log_level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    Logs { level: raised(level, verbose), json: config.log_format == LogFormat::Json }
}

fn raised(level: Level, by: u8) -> Level {
    let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    let at = levels.iter().position(|one| *one == level).unwrap_or_default();
    levels.get(at + usize::from(by)).copied().unwrap_or(Level::TRACE)
}

impl Logs {
    /// Writes the log of this process from now on. A second call changes nothing.
    pub fn install(self) {
        // Libraries are noisy below warnings, and some print what they send.
        let others = LevelFilter::from_level(self.level.min(Level::WARN));
        let ours = [("keystile", self.level), ("audit", self.level)];
        let filter = Targets::new().with_default(others).with_targets(ours);
        let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        let lines = if self.json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
        let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_v_says_more() {
        let levels = [0, 1, 2, 3, 200].map(|verbose| of_verb(verbose).level);
        assert_eq!(levels, [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE, Level::TRACE]);
    }
}
