//! Recorded consoles: the commands that stand in a page are run, and what they print is put below them.
//!
//! A page that holds the line `<!-- recorded -->` is one session of bash in an empty directory. Its
//! `console` blocks are run in their order: a line that begins with `$ ` is a command (`> ` goes on with
//! it), every other line is output. Commands between `<!-- hidden` and `-->` are run and not shown. A
//! shown command that fails must be followed by `$ echo $?`, so that no failure goes unseen. Kids in
//! commands and in the text are those of the last recording; they are replaced by those of the new one.
//!
//! Pages that hold the line `<!-- recorded on a cluster -->` are one session together, in the order of the
//! book. The block after a line `<!-- file: NAME -->` is a file of that name in the session's directory: what a page
//! shows is what its commands take.

mod kids;
mod session;
mod shape;

use crate::error::BookError;
use kids::Kids;
use session::Session;
pub use session::Surroundings;

const RECORDED: &str = "<!-- recorded -->";
const ON_A_CLUSTER: &str = "<!-- recorded on a cluster -->";
const FILE: &str = "<!-- file: ";
const COMMENT_END: &str = " -->";
const VARIES: &str = "<!-- varies -->";
const UNORDERED: &str = "<!-- unordered -->";
const HIDDEN: &str = "<!-- hidden";
const HIDDEN_END: &str = "-->";
const CONSOLE: &str = "```console";
const WAITS: &str = "  waits for ";
const FENCE: &str = "```";

/// Whether the page has recorded consoles.
pub fn is_recorded(text: &str) -> bool {
    text.lines().any(|line| line == RECORDED)
}

/// Whether the page is a part of the session on a cluster.
pub fn is_on_a_cluster(text: &str) -> bool {
    text.lines().any(|line| line == ON_A_CLUSTER)
}

/// The first line in which two recordings of a page differ, from 0, and that line of each; kids, instants,
/// durations, counts and the pictures drawn from them differ from run to run, and do not count. Nor does
/// what the commands of a console print that follows the line `<!-- varies -->`, nor whom a rotation is seen to wait
/// for: on a busy machine replicas are slower, on an idle one they are not. In a console that follows the line
/// `<!-- unordered -->` the lines that a command prints count in any order: objects are listed by names of chance.
pub fn difference<'a>(one: &'a str, other: &'a str) -> Option<(usize, &'a str, &'a str)> {
    const END: (usize, &str) = (0, "(the end)");
    let (mut one, mut other) = (compared(one).into_iter(), compared(other).into_iter());
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
fn compared(page: &str) -> Vec<(usize, &str)> {
    let mut kept: Vec<(usize, &str)> = Vec::new();
    let (mut varies, mut unordered) = (false, false);
    // Where the output of the last command begins in `kept`.
    let mut output = 0;
    for (index, line) in page.lines().enumerate() {
        let command = line.starts_with("$ ") || line.starts_with("> ");
        if unordered && (command || line == FENCE) {
            kept.get_mut(output..).unwrap_or_default().sort_by_cached_key(|(_, line)| shape::of(line));
        }
        (varies, unordered) = match line {
            VARIES => (true, false),
            UNORDERED => (false, true),
            FENCE => (false, false),
            _ => (varies, unordered),
        };
        let counts = !varies || command || matches!(line, VARIES | CONSOLE);
        if counts && !line.starts_with(WAITS) {
            kept.push((index, line));
        }
        if command || line == CONSOLE {
            output = kept.len();
        }
    }
    kept
}

/// `text` with its consoles recorded anew, in a session of its own.
pub fn refresh(page: &str, text: &str, surroundings: &Surroundings) -> Result<String, BookError> {
    let mut recorder = Recorder::begin(page, surroundings)?;
    let made = recorder.refresh(page, text)?;
    recorder.end()?;
    Ok(made)
}

/// A session in which pages are recorded, one after the other.
pub struct Recorder {
    session: Session,
    kids: Kids,
}

impl Recorder {
    /// A session that begins with `page`.
    pub fn begin(page: &str, surroundings: &Surroundings) -> Result<Self, BookError> {
        Ok(Self { session: Session::begin(page, surroundings)?, kids: Kids::default() })
    }

    /// `text` with its consoles recorded anew.
    pub fn refresh(&mut self, page: &str, text: &str) -> Result<String, BookError> {
        self.session.turn_to(page);
        let mut made = String::with_capacity(text.len());
        let mut lines = text.lines().enumerate();
        let mut file = None;
        while let Some((index, line)) = lines.next() {
            made.push_str(&self.kids.translate(line));
            made.push('\n');
            let end = match line {
                HIDDEN => HIDDEN_END,
                _ if line.starts_with(FENCE) && (line == CONSOLE || file.is_some()) => FENCE,
                _ => {
                    let named = line.strip_prefix(FILE).and_then(|rest| rest.strip_suffix(COMMENT_END));
                    file = named.or(file);
                    continue;
                }
            };
            let block: Vec<_> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != end).collect();
            if index + block.len() + 2 > text.lines().count() {
                return Err(BookError::page(page, index, format!("the block has no {end}")));
            }
            let shown = match (end, file.take()) {
                (FENCE, Some(name)) => shown_file(&self.session, name, &block)?,
                (FENCE, None) => console(&mut self.session, &mut self.kids, &block)?,
                _ => hidden(&mut self.session, &block)?,
            };
            made.push_str(&shown);
            made.push_str(end);
            made.push('\n');
        }
        Ok(made)
    }

    /// Ends the session and what it left running.
    pub fn end(self) -> Result<(), BookError> {
        self.session.end()
    }
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
        let output: String = ran.output.split_inclusive('\n').filter(|line| !is_diagnostic(line)).collect();
        kids.learn(&entry.output, &output);
        for (line, prompt) in command.lines().zip(std::iter::once("$ ").chain(std::iter::repeat("> "))) {
            made.push_str(prompt);
            made.push_str(line);
            made.push('\n');
        }
        made.push_str(&output);
    }
    Ok(made)
}

/// Whether Kubernetes' client library says this line, in the format of its log, when its watch is cut off as Helm has seen
/// enough: a matter of chance, and no answer of a command.
fn is_diagnostic(line: &str) -> bool {
    let mut head = line.chars();
    head.next().is_some_and(|severity| "IWEF".contains(severity))
        && head.by_ref().take(4).filter(char::is_ascii_digit).count() == 4
        && head.next() == Some(' ')
        && line.contains(".go:")
}

fn hidden(session: &mut Session, block: &[&str]) -> Result<String, BookError> {
    let script = block.join("\n");
    let ran = session.run(&script)?;
    if ran.status != 0 {
        return Err(session.fault(format!("exit code {} of hidden commands\n{}", ran.status, ran.output)));
    }
    Ok(script + "\n")
}

fn shown_file(session: &Session, name: &str, block: &[&str]) -> Result<String, BookError> {
    let text = block.iter().flat_map(|line| [*line, "\n"]).collect::<String>();
    session.put(name, &text)?;
    Ok(text)
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

    const NOTHING: Surroundings = Surroundings { programs: Vec::new(), kubeconfig: None };

    fn record(page: &str) -> Result<String, BookError> {
        refresh("p.md", page, &NOTHING)
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
    fn what_is_unordered_counts_in_any_order() {
        let page =
            |output: &str| format!("<!-- unordered -->\n```console\n$ logs\n{output}\n$ more\nx\n```\ny\n");
        assert_eq!(difference(&page("in 5 s\nb"), &page("b\nin 7 min")), None);
        assert!(difference(&page("a\nb"), &page("b\nc")).is_some());
        assert!(difference(&page("a\nb"), &page("b\na").replace("<!-- unordered -->", "")).is_some());
        assert_eq!(difference(&page("a"), &page("a").replace('x', "y")), Some((5, "x", "y")));
    }

    #[test]
    fn what_the_client_library_logs_is_not_shown() {
        let log = "I1127 19:03:31.659633   11385 reflector.go:664] \"Warning: watch ended with error\"";
        let page = |command: &str| format!("```console\n$ {command}\n```\n");
        let made = record(&page(&format!("echo '{log}'; echo I1127 is kept"))).expect("it succeeds");
        assert!(made.ends_with("kept\nI1127 is kept\n```\n"), "{made}");
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
    fn a_file_that_is_shown_is_there() {
        let page = "<!-- file: a.yaml -->\n\n```yaml\nb: 1\n```\n```console\n$ cat a.yaml\n```\n";
        let made = record(page).expect("it can be read");
        assert_eq!(made, page.replace("a.yaml\n```\n", "a.yaml\nb: 1\n```\n"));
    }

    #[test]
    fn pages_of_one_session_share_it_and_its_kids() {
        let mut recorder = Recorder::begin("1.md", &NOTHING).expect("there is a shell");
        let first = "```console\n$ x=1; echo key bbbbbbb1\nkey aaaaaaa1\n```\n";
        recorder.refresh("1.md", first).expect("it succeeds");
        let second = "```console\n$ echo $x aaaaaaa1\n```\n";
        let made = recorder.refresh("2.md", second).expect("it succeeds");
        assert_eq!(made, "```console\n$ echo $x bbbbbbb1\n1 bbbbbbb1\n```\n");
        let error = recorder.refresh("3.md", "```console\n$ false\n```\n").expect_err("it fails");
        assert!(error.to_string().starts_with("3.md: "), "{error}");
        recorder.end().expect("it ends");
    }

    #[test]
    fn an_open_block_is_a_fault_of_the_page() {
        let error = record("```console\n$ true\n").expect_err("it has no end");
        assert_eq!(error.to_string(), "p.md:1: the block has no ```");
    }
}
