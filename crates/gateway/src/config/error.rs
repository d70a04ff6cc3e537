//! What can be wrong with a configuration: each says what was found and what may stand there.

use std::path::PathBuf;

use super::Origin;

/// A configuration that is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than a configuration can be.
    #[error("the configuration file {} has more than {max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        max: u64,
    },
    /// The file is not TOML.
    #[error("the configuration file {} is not TOML", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A name that no setting has.
    #[error("{origin}: there is no setting {name:?}{}", did_you_mean(.nearest.as_ref()))]
    Unknown {
        /// Where it stands.
        origin: Origin,
        /// The name.
        name: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// A value that its setting cannot have.
    #[error("{origin}: {name} is {found:?}; expected {expected}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        name: &'static str,
        /// The value, shortened.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// Settings that contradict each other.
    #[error("{found}; {remedy}")]
    Contradiction {
        /// What was found.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
}

fn did_you_mean(name: Option<&String>) -> String {
    name.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}
