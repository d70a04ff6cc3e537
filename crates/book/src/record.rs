//! Recorded consoles: the commands that stand in a page are run, and what they print is put below them.
//!
//! A page that holds the line `<!-- recorded -->` is one session of bash in an empty directory. Its
//! `console` blocks are run in their order: a line that begins with `$ ` is a command (`> ` goes on with
//! it), every other line is output. Commands between `<!-- hidden` and `-->` are run and not shown. A
//! shown command that fails must be followed by `$ echo $?`, so that no failure goes unseen. Kids in
//! commands and in the text are those of the last recording; they are replaced by those of the new one.

mod kids;
mod session;
mod shape;

use std::path::Path;

use crate::error::BookError;
use kids::Kids;
use session::Session;

const RECORDED: &str = "<!-- recorded -->";
const VARIES: &str = "<!-- varies -->";
const HIDDEN: &str = "<!-- hidden";
const HIDDEN_END: &str = "-->";
const CONSOLE: &str = "```console";
const WAITS: &str = "  waits for ";
const FENCE: &str = "```";

/// Whether the page has recorded consoles.
pub fn is_recorded(text: &str) -> bool {
    text.lines().any(|line| line == RECORDED)
}

/// The first line in which two recordings of a page differ, from 0, and that line of each; kids, instants,
/// durations, counts and the pictures drawn from them differ from run to run, and do not count. Nor does
/// what the commands of a console print that follows the line `<!-- varies -->`, nor whom a rotation is seen to wait
/// for: on a busy machine replicas are slower, on an idle one they are not.
pub fn difference<'a>(one: &'a str, other: &'a str) -> Option<(usize, &'a str, &'a str)> {
    const END: (usize, &str) = (0, "(the end)");
    let (mut one, mut other) = (compared(one), compared(other));
    loop {
        let (line, now) = match (one.next(), other.next()) {
            (None, None) => return None,
            (line, now) => (line.unwrap_or(END), now.unwrap_or(END)),
        };
        if shape::of(line.1) != shape::of(now.1) {
            return Some((line.0, line.1, now.1));
        }
    }
}

/// The lines of a page that a new recording must agree with.
fn compared(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut varies = false;
    page.lines().enumerate().filter(move |(_, line)| {
        varies = match *line {
            VARIES => true,
            FENCE => false,
            _ => varies,
        };
        let counts = !varies || matches!(*line, VARIES | CONSOLE) || line.starts_with("$ ");
        counts && !line.starts_with(WAITS)
    })
}

/// `text` with its consoles recorded anew; `program` is the directory of the `keystile` to run.
pub fn refresh(page: &str, text: &str, program: &Path) -> Result<String, BookError> {
    let mut session = Session::begin(page, program)?;
    let mut kids = Kids::default();
    let mut made = String::with_capacity(text.len());
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        made.push_str(&kids.translate(line));
        made.push('\n');
        let end = match line {
            CONSOLE => FENCE,
            HIDDEN => HIDDEN_END,
            _ => continue,
        };
        let block: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != end).collect();
        if index + block.len() + 2 > text.lines().count() {
            return Err(BookError::page(page, index, format!("the block has no {end}")));
        }
        let shown = match end {
            FENCE => console(&mut session, &mut kids, &block)?,
            _ => hidden(&mut session, &block)?,
        };
        made.push_str(&shown);
        made.push_str(end);
        made.push('\n');
    }
    session.end()?;
    Ok(made)
}

/// A command of a console, and what it printed in the last recording.
struct Entry {
    command: String,
    output: String,
}

fn console(session: &mut Session, kids: &mut Kids, block: &[&str]) -> Result<String, BookError> {
    let entries = entries(block);
    let mut made = String::new();
    for (index, entry) in entries.iter().enumerate() {
        let command = kids.translate(&entry.command);
        let ran = session.run(&command)?;
        let seen = entries.get(index + 1).is_some_and(|next| next.command == "echo $?");
        if ran.status != 0 && !seen {
            let what = format!("exit code {} without `$ echo $?` after it: {command}", ran.status);
            return Err(session.fault(format!("{what}\n{}", ran.output)));
        }
        kids.learn(&entry.output, &ran.output);
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

/// The commands of a console with what each printed.
fn entries(block: &[&str]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            entries.push(Entry { command: command.to_owned(), output: String::new() });
            continue;
        }
        let Some(last) = entries.last_mut() else {
            continue;
        };
        if let Some(more) = line.strip_prefix("> ").filter(|_| last.output.is_empty()) {
            last.command.push('\n');
            last.command.push_str(more);
        } else {
            last.output.push_str(line);
            last.output.push('\n');
        }
    }
    entries
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
    fn the_first_line_that_differs_is_told() {
        let (one, other) = ("a\n3 replicas in 5 s\nb\n", "a\n4 replicas in 2 min\nc\n");
        assert_eq!(difference(one, other), Some((2, "b", "c")));
        assert_eq!(difference(one, one), None);
        assert_eq!(difference("a\n", "a\nb\n"), Some((0, "(the end)", "b")));
    }

    #[test]
    fn what_varies_is_not_compared_and_the_commands_are() {
        let page = |output: &str, last: &str| {
            format!("<!-- varies -->\n```console\n$ date\n{output}\n```\n{last}\n")
        };
        assert_eq!(difference(&page("Mon", "a"), &page("Tue\nWed", "a")), None);
        assert_eq!(difference(&page("Mon", "a"), &page("Tue\nWed", "b")), Some((5, "a", "b")));
    }

    #[test]
    fn whom_a_rotation_waits_for_is_not_compared() {
        let (quick, slow) = ("a\n  held by 2\n", "a\n  waits for 2 of 2 replicas: g1, g2\n  held by 2\n");
        assert_eq!(difference(quick, slow), None);
        assert!(difference(quick, "a\n  waits for 2 of 2 replicas: g1, g2\n").is_some());
    }

    #[test]
    fn a_failure_must_be_seen() {
        let error = record("```console\n$ (exit 3)\n```\n").expect_err("nobody looked");
        assert!(error.to_string().contains("exit code 3 without"), "{error}");
        let made = record("```console\n$ (exit 3)\n$ echo $?\n```\n").expect("it is shown");
        assert_eq!(made, "```console\n$ (exit 3)\n$ echo $?\n3\n```\n");
    }

    #[test]
    fn kids_in_commands_and_text_are_those_of_the_new_run() {
        let page =
            "```console\n$ echo key bbbbbbb1\nkey aaaaaaa1\n$ echo revoke aaaaaaa1\n```\naaaaaaa1 is gone.\n";
        let made = record(page).expect("both succeed");
        let expected = "```console\n$ echo key bbbbbbb1\nkey bbbbbbb1\n$ echo revoke bbbbbbb1\nrevoke bbbbbbb1\n```\nbbbbbbb1 is gone.\n";
        assert_eq!(made, expected);
    }

    #[test]
    fn an_open_block_is_a_fault_of_the_page() {
        let error = record("```console\n$ true\n").expect_err("it has no end");
        assert_eq!(error.to_string(), "p.md:1: the block has no ```");
    }
}
