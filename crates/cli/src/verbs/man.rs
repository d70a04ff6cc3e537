//! `keystile man`: the manual pages, made from the command line's own definitions.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};

use crate::app::App;
use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// Options of `man`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The verb whose page is printed; the program's own page, if absent
    verb: Option<String>,

    /// Write every page into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    out: Option<PathBuf>,

    /// Say what would be written, and write nothing
    #[arg(long, requires = "out")]
    dry_run: bool,
}

/// Prints a page, or writes all.
pub(crate) fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    if let Some(directory) = &args.out {
        return write_all(app, &command, directory, args.dry_run);
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

fn write_all(app: &App, command: &Command, directory: &Path, dry_run: bool) -> Result<(), Failure> {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let verbs = verbs.map(|verb| (verb, format!("keystile-{}", verb.get_name())));
    let pages: Vec<_> = std::iter::once((command, "keystile".to_owned()))
        .chain(verbs)
        .map(|(command, name)| (command, directory.join(format!("{name}.1")), name))
        .collect();
    if dry_run {
        let lines: String = pages.iter().map(|(_, path, _)| format!("  {}\n", path.display())).collect();
        return app.print(&format!("{} pages would be written:\n{lines}", pages.len()));
    }
    for (command, path, name) in &pages {
        files::write_page(path, page(command, name)?)?;
    }
    app.print(&format!("{} pages written to {}\n", pages.len(), directory.display()))
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone()).title(name);
    man.render(&mut page).map_err(|error| Failure::of(Exit::Other, &error))?;
    Ok(page)
}
