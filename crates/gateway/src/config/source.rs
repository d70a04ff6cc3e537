//! Where values come from: flags, the environment, one file.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use keystile_system::Environment;

use super::value::Raw;
use super::{ConfigError, PREFIX, SETTINGS, Setting};

/// The greatest size of a configuration file, bytes.
const FILE_BYTES: u64 = 256 * 1024;

/// The variable that names the file.
const FILE_VARIABLE: &str = "KEYSTILE_CONFIG";

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The flag of this name.
    Flag(String),
    /// The environment variable of this name.
    Variable(String),
    /// The file at this path.
    File(PathBuf),
    /// Nowhere: it is the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag --{name}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The places to look in.
pub struct Sources<'a> {
    /// Flags that were given: the setting's name and its text. A switch without a value is `true`.
    pub flags: Vec<(String, String)>,
    /// The file that a flag names; else `KEYSTILE_CONFIG` may name one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: &'a dyn Environment,
    /// Variables that begin with `KEYSTILE_` and belong to other parts of the program.
    pub other_variables: &'a [&'a str],
}

/// Every value that was given, the weakest place first, so that the last one wins.
pub(super) fn gather(sources: &Sources<'_>) -> Result<Vec<(&'static Setting, Raw, Origin)>, ConfigError> {
    let mut found = Vec::new();
    let named = sources.environment.get(FILE_VARIABLE).map(PathBuf::from);
    if let Some(path) = sources.file.clone().or(named) {
        from_file(&path, &mut found)?;
    }
    from_environment(sources, &mut found)?;
    for (name, text) in &sources.flags {
        let origin = Origin::Flag(name.replace('_', "-"));
        let setting = known(&name.replace('-', "_"), &origin, Setting::flag)?;
        found.push((setting, Raw::Text(text.clone()), origin));
    }
    Ok(found)
}

type Found = Vec<(&'static Setting, Raw, Origin)>;

fn from_environment(sources: &Sources<'_>, found: &mut Found) -> Result<(), ConfigError> {
    let mut names = sources.environment.names(PREFIX);
    names.sort();
    for name in names {
        let elsewhere = name == FILE_VARIABLE || sources.other_variables.contains(&name.as_str());
        if elsewhere || is_service_link(&name) {
            continue;
        }
        let origin = Origin::Variable(name.clone());
        let suffix = name.trim_start_matches(PREFIX).to_ascii_lowercase();
        let setting = known(&suffix, &origin, Setting::variable)?;
        if let Some(text) = sources.environment.get(&name) {
            found.push((setting, Raw::Text(text), origin));
        }
    }
    Ok(())
}

/// Kubernetes puts variables such as `KEYSTILE_PORT_17670_TCP_ADDR` into every pod beside a Service
/// named `keystile`: they are nobody's settings, and must not keep a gateway from starting.
fn is_service_link(name: &str) -> bool {
    let numbered = |text: &str| {
        let mut parts = text.split('_');
        let port = parts.next().is_some_and(|digits| digits.parse::<u16>().is_ok());
        port && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name.match_indices("_PORT_").any(|(at, found)| name.get(at + found.len()..).is_some_and(numbered))
}

fn from_file(path: &Path, found: &mut Found) -> Result<(), ConfigError> {
    let text = read(path)?;
    let table: toml::Table = text
        .parse()
        .map_err(|source| ConfigError::Toml { path: path.to_owned(), source: Box::new(source) })?;
    for (name, value) in table {
        let origin = Origin::File(path.to_owned());
        let setting = known(&name, &origin, |setting| setting.name.to_owned())?;
        let raw = raw(&value).ok_or_else(|| ConfigError::Value {
            origin: origin.clone(),
            name: setting.name,
            found: format!("of type {}", value.type_str()),
            expected: setting.kind.expects(),
        })?;
        found.push((setting, raw, origin));
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    let length = file.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > FILE_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned(), max: FILE_BYTES });
    }
    Ok(text)
}

fn raw(value: &toml::Value) -> Option<Raw> {
    match value {
        toml::Value::String(text) => Some(Raw::Text(text.clone())),
        toml::Value::Integer(number) => Some(Raw::Text(number.to_string())),
        toml::Value::Boolean(switch) => Some(Raw::Text(switch.to_string())),
        toml::Value::Table(table) => {
            let pair =
                |(name, value): (&String, &toml::Value)| Some((name.clone(), value.as_str()?.to_owned()));
            table.iter().map(pair).collect::<Option<BTreeMap<_, _>>>().map(Raw::Pairs)
        }
        _ => None,
    }
}

/// The setting of this name, or a refusal with the nearest name as it is written in that place.
fn known(
    name: &str,
    origin: &Origin,
    written: impl Fn(&Setting) -> String,
) -> Result<&'static Setting, ConfigError> {
    if let Some(setting) = Setting::named(name) {
        return Ok(setting);
    }
    let shown: String = name.chars().take(80).collect();
    let nearest = SETTINGS
        .iter()
        .filter(|setting| !setting.hidden)
        .map(|setting| (strsim::damerau_levenshtein(&shown, setting.name), setting))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, setting)| *distance <= setting.name.len().div_ceil(3))
        .map(|(_, setting)| written(setting));
    Err(ConfigError::Unknown { origin: origin.clone(), name: shown, nearest })
}
