//! Refreshes the book, or checks its recorded consoles.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use keystile_book::record::{Recorder, Surroundings};
use keystile_book::tree::{self, TextFile};
use keystile_book::{BookError, columns, parts, record};

const USAGE: &str =
    "keystile-book generate                     make generated parts and columns of tests anew
keystile-book record DIRECTORY [PAGE …]    record consoles anew with the keystile in DIRECTORY
keystile-book check DIRECTORY [PAGE …]     run them, and fail if what they print has another shape
keystile-book (record|check) DIRECTORY --cluster KUBECONFIG --programs DIRECTORY
                                           the same with the pages that are recorded on a cluster";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["generate"] => generate(),
        [what @ ("record" | "check"), directory, "--cluster", kubeconfig, "--programs", programs] => {
            on_a_cluster([directory, programs].map(Path::new), Path::new(kubeconfig), *what == "check")
        }
        ["record", directory, pages @ ..] => recorded(Path::new(directory), pages, false),
        ["check", directory, pages @ ..] => recorded(Path::new(directory), pages, true),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", with_sources(&error));
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<(), BookError> {
    let tests = tree::test_names()?;
    for page in tree::pages()? {
        let made = parts::refresh(&page.name, &page.text)?;
        let made = columns::refresh(&page.name, &made, &tests)?;
        write(&page, &made)?;
    }
    Ok(())
}

fn recorded(directory: &Path, only: &[&str], check: bool) -> Result<(), BookError> {
    let surroundings = Surroundings { programs: vec![absolute(directory)?], kubeconfig: None };
    let pages = tree::pages()?.into_iter().filter(|page| record::is_recorded(&page.text));
    for page in pages.filter(|page| only.is_empty() || only.contains(&page.name.as_str())) {
        let made = record::refresh(&page.name, &page.text, &surroundings)?;
        take(&page, &made, check)?;
    }
    Ok(())
}

fn on_a_cluster(programs: [&Path; 2], kubeconfig: &Path, check: bool) -> Result<(), BookError> {
    let programs = programs.into_iter().map(absolute).collect::<Result<_, _>>()?;
    let surroundings = Surroundings { programs, kubeconfig: Some(absolute(kubeconfig)?) };
    let pages: Vec<_> =
        tree::book()?.into_iter().filter(|page| record::is_on_a_cluster(&page.text)).collect();
    let Some(first) = pages.first() else {
        return Ok(());
    };
    let mut recorder = Recorder::begin(&first.name, &surroundings)?;
    for page in &pages {
        let made = recorder.refresh(&page.name, &page.text)?;
        take(page, &made, check)?;
    }
    recorder.end()
}

/// Takes over what was recorded, or holds it against the page.
fn take(page: &TextFile, made: &str, check: bool) -> Result<(), BookError> {
    if !check {
        write(page, made)?;
    } else if let Some((index, then, now)) = record::difference(&page.text, made) {
        let what = format!("its commands print something else now; it says\n{then}\nand now it is\n{now}");
        return Err(BookError::Page { page: page.name.clone(), line: index + 1, what });
    }
    println!("{} {}", page.name, if check { "holds" } else { "recorded" });
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf, BookError> {
    fs::canonicalize(path).map_err(|source| file("find", path, source))
}

fn write(page: &TextFile, made: &str) -> Result<(), BookError> {
    if made == page.text {
        return Ok(());
    }
    let path = tree::root().join(&page.name);
    fs::write(&path, made).map_err(|source| file("write", &path, source))
}

fn file(what: &'static str, path: &Path, source: std::io::Error) -> BookError {
    BookError::File { what, path: PathBuf::from(path), source }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += ": ";
        text += &cause.to_string();
        source = cause.source();
    }
    text
}
