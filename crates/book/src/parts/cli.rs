//! The command line: what `--help` says.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use keystile_cli::{Exit, Stream, World, run};

/// One section for each verb.
pub(super) fn sections() -> String {
    let program = help(&["keystile", "--help"]);
    let mut page = section("keystile", &program);
    for verb in verbs(&program) {
        page += &section(&format!("keystile {verb}"), &own(&help(&["keystile", &verb, "--help"])));
    }
    page
}

/// One row for each exit code.
pub(super) fn exits() -> String {
    let mut table = "| exit code | meaning |\n|---|---|\n".to_owned();
    for exit in Exit::ALL {
        let _ = writeln!(table, "| {} | {} |", exit.code(), exit.meaning());
    }
    table
}

fn section(title: &str, help: &str) -> String {
    format!("## {title}\n\n```text\n{}\n```\n\n", help.trim_end())
}

/// The verbs that the program's help lists.
fn verbs(program: &str) -> Vec<String> {
    let list = program.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// A verb's help without the options that every verb has.
fn own(help: &str) -> String {
    let Some((own, global)) = help.split_once("\nGlobal options:\n") else {
        return help.to_owned();
    };
    // What follows the options is not indented.
    let after = global.lines().skip_while(|line| line.is_empty() || line.starts_with(' '));
    let after: Vec<_> = after.collect();
    format!("{own}\n{}", after.join("\n"))
}

fn help(arguments: &[&str]) -> String {
    let output = Buffer::default();
    let world = World { stdout: Stream::pipe(output.clone()), ..World::of_this_process() };
    run(arguments.iter().map(OsString::from), world);
    let lines = output.text();
    let lines: Vec<_> = lines.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// What was written, for whoever holds a clone.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
