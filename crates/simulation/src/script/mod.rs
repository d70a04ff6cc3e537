//! What happens when: operations and outages, one a line.

mod explain;
mod parse;
mod usual;

use std::fmt;
use std::time::Duration;

use keystile_keyring::Code;

pub use explain::explained;
pub use parse::{ScriptError, parse, parse_outage};
pub use usual::usual;

use crate::moment::Moment;

/// The most steps of a script.
pub const MOST_STEPS: usize = 200;

/// The longest simulation.
pub const LONGEST: Duration = Duration::from_hours(7 * 24);

/// What is played.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// In the order of time.
    pub steps: Vec<Step>,
    /// When the simulation ends.
    pub end: Option<Moment>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Moment,
    /// What.
    pub action: Action,
    /// The refusal that must come, if one must.
    pub expect: Option<Code>,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new key: publish, wait for the fleet, let it sign.
    Rotate {
        /// Without the waits.
        emergency: bool,
    },
    /// Back to the former key.
    Rollback,
    /// Refuse a key's tokens.
    Revoke {
        /// Which.
        key: KeyName,
        /// And what descends from them.
        descendants: bool,
    },
    /// End a superseded key's window.
    Retire {
        /// Which.
        key: KeyName,
        /// Although its tokens are in use.
        force: bool,
    },
    /// Destroy what nothing needs.
    Prune,
    /// Nobody can read or write the store, nor ask the API server, for so long.
    Outage(Duration),
}

/// A key, as a script names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyName {
    /// The one that signs.
    Active,
    /// The one that signed last.
    VerifyOnly,
    /// By the order in which keys appeared, from 1.
    Numbered(u8),
}

impl Script {
    /// Puts the steps in the order of time; those of one instant stay as they are.
    pub fn sort(&mut self) {
        self.steps.sort_by_key(|step| step.at);
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::VerifyOnly => f.write_str("verify-only"),
            Self::Numbered(number) => write!(f, "key-{number}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |on: &bool, name| if *on { name } else { "" };
        match self {
            Self::Rotate { emergency } => write!(f, "rotate{}", flag(emergency, " --emergency")),
            Self::Rollback => f.write_str("rollback"),
            Self::Revoke { key, descendants } => {
                write!(f, "revoke {key}{}", flag(descendants, " --descendants"))
            }
            Self::Retire { key, force } => write!(f, "retire {key}{}", flag(force, " --force")),
            Self::Prune => f.write_str("prune"),
            Self::Outage(duration) => write!(f, "outage for {}", compact(*duration)),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(f, "at {} {}", compact(step.at.elapsed()), step.action)?;
            match step.expect {
                Some(code) => writeln!(f, " expect {code}")?,
                None => writeln!(f)?,
            }
        }
        self.end.map_or(Ok(()), |end| writeln!(f, "at {} end", compact(end.elapsed())))
    }
}

/// As a script writes a duration: `1h10m`, `90s`, `500ms`.
fn compact(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    if millis > 0 {
        return format!("{}ms", duration.as_millis());
    }
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
    let text = parts.collect::<Vec<_>>().concat();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
