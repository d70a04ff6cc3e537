//! Standard output and error: what a closed pipe, a terminal and colour mean to them.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// One output stream of the process. A pipe that its reader closed is not an error: whatever is
/// written after that is dropped.
pub struct Stream {
    writer: Mutex<Box<dyn Write + Send>>,
    columns: Option<Measure>,
    closed: AtomicBool,
}

/// Measures a terminal: its window may change while it is written to.
type Measure = Box<dyn Fn() -> u16 + Send + Sync>;

impl Stream {
    /// A stream that is a terminal of so many columns as `columns` measures.
    pub fn terminal(
        writer: impl Write + Send + 'static,
        columns: impl Fn() -> u16 + Send + Sync + 'static,
    ) -> Self {
        Self { columns: Some(Box::new(columns)), ..Self::pipe(writer) }
    }

    /// A stream that is a file or a pipe.
    pub fn pipe(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Mutex::new(Box::new(writer)), columns: None, closed: AtomicBool::new(false) }
    }

    /// The columns that the terminal has now, if it is one.
    pub(crate) fn columns(&self) -> Option<u16> {
        self.columns.as_ref().map(|measure| measure())
    }

    /// Whether its reader went away, or it cannot be written for another reason.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Writes all of `text` at once.
    pub(crate) fn write(&self, text: &str) -> std::io::Result<()> {
        if self.is_closed() {
            return Ok(());
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed.store(true, Ordering::Relaxed);
                Ok(())
            }
            other => other,
        }
    }
}

/// `text` as one line that may be written to a terminal or a log: what came from a file, a peer or a replica can
/// neither move the cursor, nor begin another line, nor turn the direction of writing. Such characters are shown
/// as JSON escapes them, so that a JSON document stays one.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            letter if letter.is_control() || turns(letter) => {
                let _ = write!(shown, "\\u{:04x}", u32::from(letter));
            }
            letter => shown.push(letter),
        }
    }
    shown
}

/// The same of a whole text, which keeps its lines, and its colours if it was painted.
pub(crate) fn harmless_text(text: &str, paint: Paint) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let colour = CODES.iter().find(|code| paint.on && rest.starts_with(**code));
        let length = colour.map_or(letter.len_utf8(), |code| code.len());
        let (part, after) = rest.split_at(length);
        if colour.is_some() || letter == '\n' {
            shown.push_str(part);
        } else {
            shown.push_str(&harmless(part));
        }
        rest = after;
    }
    shown
}

/// The same of a text of several lines, each after the first one indented by `indent`.
pub(crate) fn harmless_lines(text: &str, indent: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(harmless).collect();
    lines.join(&format!("\n{indent}"))
}

/// Whether it changes the direction of what follows (Unicode TR 9), or breaks the line.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A colour that only adds to what the text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hue {
    /// Good, or signs.
    Green,
    /// On its way out, or wants a look.
    Yellow,
    /// On its way in.
    Cyan,
    /// Bad, or over.
    Red,
    /// What matters most.
    Bold,
}

/// What [`Paint`] writes.
const CODES: [&str; 6] = ["\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[31m", "\x1b[1m", "\x1b[0m"];

/// Whether colours are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// Writes colours if `on`.
    pub(crate) fn new(on: bool) -> Self {
        Self { on }
    }

    /// `text` in `hue`, or as it is.
    pub(crate) fn paint(self, hue: Hue, text: &str) -> String {
        let code = match hue {
            Hue::Green => 32,
            Hue::Yellow => 33,
            Hue::Cyan => 36,
            Hue::Red => 31,
            Hue::Bold => 1,
        };
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct ClosedPipe;

    impl Write for ClosedPipe {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_text_keeps_its_lines_and_the_colours_it_was_painted_with() {
        let hues = [Hue::Green, Hue::Yellow, Hue::Cyan, Hue::Red, Hue::Bold];
        let painted: String = hues.iter().map(|hue| Paint::new(true).paint(*hue, "a") + "\n").collect();
        assert_eq!(harmless_text(&painted, Paint::new(true)), painted);
        let foreign = "kid\x1b[2J\x1b]0;title\x07\n\u{202e}b\r\x1b[31m";
        let shown = harmless_text(foreign, Paint::new(false));
        assert_eq!(shown, "kid\\u001b[2J\\u001b]0;title\\u0007\n\\u202eb\\u000d\\u001b[31m");
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_is_noticed() {
        let stream = Stream::pipe(ClosedPipe);
        assert!(!stream.is_closed());
        stream.write("text").expect("treated as done");
        assert!(stream.is_closed());
        stream.write("more").expect("dropped");
    }

    #[test]
    fn a_window_is_measured_whenever_it_is_asked_for() {
        let width = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(80));
        let window = std::sync::Arc::clone(&width);
        let stream = Stream::terminal(std::io::sink(), move || window.load(Ordering::Relaxed));
        assert_eq!(stream.columns(), Some(80));
        width.store(44, Ordering::Relaxed);
        assert_eq!(stream.columns(), Some(44));
        assert_eq!(Stream::pipe(std::io::sink()).columns(), None);
    }

    #[test]
    fn what_comes_from_elsewhere_cannot_move_the_cursor() {
        assert_eq!(
            harmless("why\x1b[2J\r\n\u{202e}txt.exe\u{9b}"),
            "why\\u001b[2J\\u000d\\n\\u202etxt.exe\\u009b"
        );
        assert_eq!(harmless("Schlüssel 鍵 ✓"), "Schlüssel 鍵 ✓");
    }

    #[test]
    fn several_lines_stay_several_lines() {
        let toml = "TOML parse error\n  |\n1 | a = \x1b\n  |     ^\n";
        assert_eq!(
            harmless_lines(toml, "    "),
            "TOML parse error\n      |\n    1 | a = \\u001b\n      |     ^"
        );
    }

    #[test]
    fn paint_only_adds() {
        assert_eq!(Paint::default().paint(Hue::Red, "key"), "key");
        assert_eq!(Paint::new(true).paint(Hue::Red, "key"), "\x1b[31mkey\x1b[0m");
    }
}
