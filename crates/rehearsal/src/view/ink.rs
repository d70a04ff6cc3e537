//! Colours that only add to what the text says.

/// Whether colours are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ink {
    on: bool,
}

impl Ink {
    /// Writes colours if `on`.
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.dye(32, text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.dye(31, text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.dye(1, text)
    }

    fn dye(self, code: u8, text: &str) -> String {
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
