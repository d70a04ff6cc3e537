//! `keystile man`: the manual pages, made from the command line's own definitions.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};

use crate::app::App;
use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::Failure;

/// Options of `man`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The verb whose page is printed; the program's own page, if absent
    verb: Option<String>,

    /// Write every page into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    out: Option<PathBuf>,
}

/// Prints a page, or writes all.
pub(crate) fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    if let Some(directory) = &args.out {
        return write_all(app, &command, directory);
    }
    let page = match &args.verb {
        None => page(&command, "keystile")?,
        Some(verb) => {
            let found = command.find_subcommand(verb).ok_or_else(|| {
                Failure::usage(format!("there is no verb {verb:?}"))
                    .remedy("look at the verbs: keystile help")
            })?;
            page(found, &format!("keystile-{verb}"))?
        }
    };
    app.print(&String::from_utf8_lossy(&page))
}

fn write_all(app: &App, command: &Command, directory: &Path) -> Result<(), Failure> {
    let cannot = |error: &std::io::Error| {
        Failure::of(Exit::Other, error)
            .expected(format!("a directory to write to at {}", directory.display()))
    };
    std::fs::create_dir_all(directory).map_err(|error| cannot(&error))?;
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let pages = verbs.map(|verb| (verb, format!("keystile-{}", verb.get_name())));
    let mut written = 0;
    for (command, name) in std::iter::once((command, "keystile".to_owned())).chain(pages) {
        let path = directory.join(format!("{name}.1"));
        std::fs::write(path, page(command, &name)?).map_err(|error| cannot(&error))?;
        written += 1;
    }
    app.print(&format!("{written} pages written to {}\n", directory.display()))
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone()).title(name);
    man.render(&mut page).map_err(|error| Failure::of(Exit::Other, &error))?;
    Ok(page)
}
