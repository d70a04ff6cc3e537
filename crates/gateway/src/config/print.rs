//! The configuration as it came out, and where each value came from.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Config, Origin, SETTINGS};

/// A configuration and the origin of each of its values.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    origins: BTreeMap<&'static str, Origin>,
}

impl Loaded {
    pub(super) fn new(config: Config, origins: BTreeMap<&'static str, Origin>) -> Self {
        Self { config, origins }
    }

    /// Where the value of the setting `name` came from.
    pub fn origin(&self, name: &str) -> &Origin {
        self.origins.get(name).unwrap_or(&Origin::Default)
    }

    /// The configuration as a TOML file that, read again, gives the same, with the origin of each
    /// value behind it.
    pub fn print(&self) -> String {
        let mut text = String::new();
        for setting in SETTINGS {
            let origin = self.origin(setting.name);
            if setting.hidden && *origin == Origin::Default {
                continue;
            }
            let line = match setting.show(&self.config) {
                Some(value) => format!("{} = {value}", setting.name),
                None => format!("# {} is not set", setting.name),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line:<52} # {origin}");
        }
        text
    }
}
