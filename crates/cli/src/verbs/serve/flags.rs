//! The flags of `serve`, made from the gateway's own table of settings.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches};
use keystile_gateway::config::{Kind, SETTINGS, Setting};

/// Options of `serve`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Args {
    /// The settings that were given, by name.
    pub(super) flags: Vec<(String, String)>,
    /// The configuration file.
    pub(super) config: Option<PathBuf>,
    /// Print the configuration and stop.
    pub(super) print_config: bool,
    /// Make a keyring where there never was one.
    pub(super) init: bool,
}

/// Global options of the program, which `serve` takes from there.
const GLOBAL: [&str; 2] = ["store", "witness"];

fn settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| !GLOBAL.contains(&setting.name))
}

fn argument(setting: &'static Setting) -> Arg {
    let default = setting
        .default()
        .map_or_else(String::new, |value| format!(" [default: {}]", value.trim_matches('"')));
    let help = format!("{}{default}", sentence(setting.meaning));
    let argument = Arg::new(setting.name).long(setting.flag()).help(help).hide(setting.hidden);
    let named = |name: &'static str| argument.clone().value_name(name);
    match setting.kind {
        Kind::Switch => named("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::Word(words) => named("WORD").value_parser(clap::builder::PossibleValuesParser::new(words)),
        Kind::Text => named("TEXT"),
        Kind::Path => named("FILE"),
        Kind::Address => named("ADDRESS:PORT"),
        Kind::Duration => named("DURATION"),
        Kind::Bytes => named("BYTES"),
        Kind::Number => named("NUMBER").allow_negative_numbers(true),
        Kind::Pairs => named("NAME=VALUE,…"),
        Kind::Names => named("NAME,…"),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl clap::Args for Args {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config").long("config").value_name("FILE");
        let config = config.value_parser(clap::value_parser!(PathBuf));
        let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
        command
            .arg(config.help("Read settings from this TOML file [env: KEYSTILE_CONFIG]"))
            .arg(switch("print-config").help("Print every setting and where it comes from, then stop"))
            .arg(switch("init").help("Create a keyring first, in a place that was never used"))
            .args(settings().map(argument))
            .after_help(
                "Every setting can also stand in the TOML file, as NAME = VALUE with _ for -, and in the environment, \
                 as KEYSTILE_NAME. A flag wins over the environment, that over the file.",
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        let given = settings().filter_map(|setting| {
            let value = matches.get_one::<String>(setting.name)?;
            Some((setting.name.to_owned(), value.clone()))
        });
        self.flags = given.collect();
        self.config = matches.get_one("config").cloned();
        self.print_config = matches.get_flag("print-config");
        self.init = matches.get_flag("init");
        Ok(())
    }
}
