//! Standard output and error: what a closed pipe, a terminal and colour mean to them.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// One output stream of the process. A pipe that its reader closed is not an error: whatever is
/// written after that is dropped.
pub struct Stream {
    writer: Mutex<Box<dyn Write + Send>>,
    columns: Option<u16>,
    closed: AtomicBool,
}

impl Stream {
    /// A stream that is a terminal of so many columns.
    pub fn terminal(writer: impl Write + Send + 'static, columns: u16) -> Self {
        Self { columns: Some(columns), ..Self::pipe(writer) }
    }

    /// A stream that is a file or a pipe.
    pub fn pipe(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Mutex::new(Box::new(writer)), columns: None, closed: AtomicBool::new(false) }
    }

    /// The columns of the terminal that it is, if it is one.
    pub(crate) fn columns(&self) -> Option<u16> {
        self.columns
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

/// `text` as it may be written to a terminal: what came from a file or a replica cannot move its cursor.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
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
    fn a_closed_pipe_is_no_error_and_is_noticed() {
        let stream = Stream::pipe(ClosedPipe);
        assert!(!stream.is_closed());
        stream.write("text").expect("treated as done");
        assert!(stream.is_closed());
        stream.write("more").expect("dropped");
    }

    #[test]
    fn what_comes_from_elsewhere_cannot_move_the_cursor() {
        assert_eq!(harmless("why\x1b[2J\r\n"), "why\u{fffd}[2J\u{fffd}\u{fffd}");
    }

    #[test]
    fn paint_only_adds() {
        assert_eq!(Paint::default().paint(Hue::Red, "key"), "key");
        assert_eq!(Paint::new(true).paint(Hue::Red, "key"), "\x1b[31mkey\x1b[0m");
    }
}
