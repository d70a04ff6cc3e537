//! The configuration as it came out, and where each value came from.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::{Config, Origin, SETTINGS, Setting};

/// A configuration and the origin of each of its values.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    origins: BTreeMap<&'static str, Origin>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingDocument {
    /// As a configuration file says it; null if it is not set.
    pub value: Option<toml::Value>,
    /// Where it stands.
    pub origin: String,
}

impl Loaded {
    pub(super) fn new(config: Config, origins: BTreeMap<&'static str, Origin>) -> Self {
        Self { config, origins }
    }

    /// Where the value of the setting `name` came from.
    pub fn origin(&self, name: &str) -> &Origin {
        self.origins.get(name).unwrap_or(&Origin::Default)
    }

    /// The settings for programs, each with its value (null: not set) and where that comes from.
    pub fn document(&self) -> BTreeMap<&'static str, SettingDocument> {
        let shown = |setting: &Setting| !(setting.hidden && *self.origin(setting.name) == Origin::Default);
        let document = |setting: &Setting| {
            let table: Option<toml::Table> =
                setting.show(&self.config).and_then(|value| toml::from_str(&format!("value = {value}")).ok());
            let value = table.and_then(|mut table| table.remove("value"));
            (setting.name, SettingDocument { value, origin: self.origin(setting.name).to_string() })
        };
        SETTINGS.iter().filter(|setting| shown(setting)).map(document).collect()
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
