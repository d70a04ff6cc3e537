//! The `keystile` program as a library: [`run`] takes its world as an argument, so that its stories
//! can be told, and compared with what is expected, without a process, a clock or chance.

#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "text for people is put together from a few short lines, where reading matters and speed does not"
)]

mod app;
mod args;
mod change;
mod console;
mod exit;
mod failure;
mod files;
mod health;
mod input;
mod kids;
mod logs;
mod parse;
mod picture;
mod place;
mod plan_text;
mod policy;
mod signals;
mod teller;
mod verbs;
mod when;
mod world;

use std::ffi::OsString;
use std::num::NonZero;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use tokio::runtime::{Builder, Runtime};

pub use console::Stream;
pub use exit::Exit;
pub use logs::{Journal, Logs};
pub use place::Place;
pub use world::{OpenStore, World};

use crate::app::App;
use crate::args::Cli;
use crate::console::{Paint, harmless_text};
use crate::failure::Failure;

/// The width of help that is not read on a terminal.
const HELP_COLUMNS: usize = 100;

/// Runs the program: `arguments` begin with its own name.
pub fn run(arguments: impl IntoIterator<Item = OsString>, world: World) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = wants_json(&arguments);
    let columns = world.stdout.columns().map_or(HELP_COLUMNS, usize::from).min(HELP_COLUMNS);
    let mut command = Cli::command().term_width(columns);
    let parsed = command.try_get_matches_from_mut(&arguments);
    match parsed
        .and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command)))
    {
        Ok(Cli { global, verb }) => execute(&App { world, global }, verb),
        Err(error) => {
            let text = harmless_text(&error.render().to_string(), Paint::default());
            if !error.use_stderr() {
                return told(&world, &text, json);
            }
            let text = match error.kind() {
                ErrorKind::InvalidUtf8 => say(&not_utf8(&arguments), json),
                _ if json => misunderstood(&text).json(),
                _ => text,
            };
            let _ = world.stderr.write(&text);
            Exit::Usage
        }
    }
}

/// Help, or the version: what was asked for, so it must arrive.
fn told(world: &World, text: &str, json: bool) -> Exit {
    match world.stdout.write(text) {
        Ok(()) => Exit::Done,
        Err(error) => {
            let _ = world.stderr.write(&say(&app::unwritten(&error), json));
            Exit::Other
        }
    }
}

fn say(failure: &Failure, json: bool) -> String {
    if json { failure.json() } else { failure.text() }
}

/// The parser does not say which of the arguments it could not read.
fn not_utf8(arguments: &[OsString]) -> Failure {
    let bad = arguments.iter().filter(|argument| argument.to_str().is_none());
    let bad: Vec<_> = bad.map(|argument| argument.as_encoded_bytes().escape_ascii().to_string()).collect();
    Failure::usage(format!("not UTF-8: {}", bad.join(", ")))
        .expected("arguments in UTF-8")
        .remedy("give the path another name, or a symbolic link with one")
}

/// Whether a command line that cannot be understood asks for JSON.
fn wants_json(arguments: &[OsString]) -> bool {
    let asked =
        |pair: &[OsString]| matches!(pair, [option, value] if option == "--output" && value == "json");
    arguments.iter().any(|argument| argument == "--output=json") || arguments.windows(2).any(asked)
}

/// The first paragraph says what is wrong; the rest is for people.
fn misunderstood(text: &str) -> Failure {
    let what = text.trim_start_matches("error: ").split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = what.split_whitespace().collect();
    Failure::usage(words.join(" ")).remedy("keystile help, or the verb with --help")
}

/// On one processor everything runs in one thread: a second would only hand work to and fro with the first.
fn runtime() -> std::io::Result<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut builder =
        if processors == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.enable_all().build()
}

fn execute(app: &App, verb: args::Verb) -> Exit {
    if app.global.one_stream
        && let Err(error) = (app.world.join_streams)()
    {
        app.complain(&Failure::of(Exit::Other, &error).expected("standard output and error that are open"));
        return Exit::Other;
    }
    // A gateway has settings of its own for its log, a rehearsal tells what matters by itself, and a reader of JSON
    // expects nothing else beside it.
    let has_its_own = match verb {
        args::Verb::Serve(_) => true,
        args::Verb::Rehearse(_) => app.global.verbose == 0,
        args::Verb::Supervise(_) => false,
        _ => app.json() && app.global.verbose == 0,
    };
    let _journal = (!has_its_own).then(|| (app.world.logs)(logs::of_verb(app.global.verbose, app.json())));
    let done = match runtime() {
        Ok(runtime) => runtime.block_on(verbs::run(app, verb)),
        Err(error) => Err(Failure::of(Exit::Other, &error)),
    };
    match done {
        Ok(()) => Exit::Done,
        Err(failure) => {
            app.complain(&failure);
            failure.exit()
        }
    }
}
