//! Recorded consoles: the commands that stand in a page are run, and what they print is put below them.
//!
//! A page that holds the line `<!-- recorded -->` is one session of bash in an empty directory. Its
//! `console` blocks are run in their order: a line that begins with `$ ` is a command (`> ` goes on with
//! it), every other line is output. Commands between `<!-- hidden` and `-->` are run and not shown. A
//! shown command that fails must be followed by `$ echo $?`, so that no failure goes unseen.

mod session;
mod shape;

use std::path::Path;

use crate::error::BookError;
use session::Session;

const RECORDED: &str = "<!-- recorded -->";
const HIDDEN: &str = "<!-- hidden";
const HIDDEN_END: &str = "-->";
const CONSOLE: &str = "```console";
const FENCE: &str = "```";

/// Whether the page has recorded consoles.
pub fn is_recorded(text: &str) -> bool {
    text.lines().any(|line| line == RECORDED)
}

/// Whether two recordings of a page differ only in what differs from run to run: kids, instants,
/// durations, counts and the pictures drawn from them.
pub fn same_shape(one: &str, other: &str) -> bool {
    shape::of(one) == shape::of(other)
}

/// `text` with its consoles recorded anew; `program` is the directory of the `keystile` to run.
pub fn refresh(page: &str, text: &str, program: &Path) -> Result<String, BookError> {
    let mut session = Session::begin(page, program)?;
    let mut made = String::with_capacity(text.len());
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        made.push_str(line);
        made.push('\n');
        let end = match line {
            CONSOLE => FENCE,
            HIDDEN => HIDDEN_END,
            _ => continue,
        };
        let mut block = Vec::new();
        loop {
            match lines.next() {
                Some((_, line)) if line == end => break,
                Some((_, line)) => block.push(line),
                None => return Err(BookError::page(page, index, format!("the block has no {end}"))),
            }
        }
        let shown = if end == FENCE { console(&mut session, &block)? } else { hidden(&mut session, &block)? };
        made.push_str(&shown);
        made.push_str(end);
        made.push('\n');
    }
    session.end()?;
    Ok(made)
}

fn console(session: &mut Session, block: &[&str]) -> Result<String, BookError> {
    let commands = commands(block);
    let mut made = String::new();
    for (index, command) in commands.iter().enumerate() {
        let ran = session.run(command)?;
        let seen = commands.get(index + 1).is_some_and(|next| next == "echo $?");
        if ran.status != 0 && !seen {
            return Err(session.fault(format!(
                "exit code {} without `$ echo $?` after it: {command}\n{}",
                ran.status, ran.output
            )));
        }
        for (line, prompt) in command.lines().zip(std::iter::once("$ ").chain(std::iter::repeat("> "))) {
            made.push_str(prompt);
            made.push_str(line);
            made.push('\n');
        }
        made.push_str(&ran.output);
    }
    Ok(made)
}

fn hidden(session: &mut Session, block: &[&str]) -> Result<String, BookError> {
    let script = block.join("\n");
    let ran = session.run(&script)?;
    if ran.status != 0 {
        return Err(session.fault(format!("exit code {} of hidden commands\n{}", ran.status, ran.output)));
    }
    Ok(script + "\n")
}

/// The commands of a console, each as it is given to the shell.
fn commands(block: &[&str]) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut open = false;
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(command.to_owned());
            open = true;
        } else if let (Some(more), Some(last), true) = (line.strip_prefix("> "), commands.last_mut(), open) {
            last.push('\n');
            last.push_str(more);
        } else {
            open = false;
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(page: &str) -> Result<String, BookError> {
        refresh("p.md", page, Path::new("/nowhere"))
    }

    #[test]
    fn output_is_put_below_its_command() {
        let made = record("x\n```console\n$ echo one\nold\n$ printf two\n```\n").expect("both succeed");
        assert_eq!(made, "x\n```console\n$ echo one\none\n$ printf two\ntwo\n```\n");
    }

    #[test]
    fn a_command_may_go_on_over_lines_and_the_session_lasts() {
        let page = "<!-- hidden\nx=3\n-->\n```console\n$ for i in 1 2; do\n>   echo $i$x\n> done\n```\n";
        let made = record(page).expect("it succeeds");
        assert!(made.contains("$ for i in 1 2; do\n>   echo $i$x\n> done\n13\n23\n```"), "{made}");
        assert_eq!(record(&made).expect("it succeeds again"), made);
    }

    #[test]
    fn a_failure_must_be_seen() {
        let error = record("```console\n$ (exit 3)\n```\n").expect_err("nobody looked");
        assert!(error.to_string().contains("exit code 3 without"), "{error}");
        let made = record("```console\n$ (exit 3)\n$ echo $?\n```\n").expect("it is shown");
        assert_eq!(made, "```console\n$ (exit 3)\n$ echo $?\n3\n```\n");
    }

    #[test]
    fn an_open_block_is_a_fault_of_the_page() {
        let error = record("```console\n$ true\n").expect_err("it has no end");
        assert_eq!(error.to_string(), "p.md:1: the block has no ```");
    }
}
