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

    /// What is good.
    pub fn green(self, text: &str) -> String {
        self.dye(32, text)
    }

    /// What is bad.
    pub fn red(self, text: &str) -> String {
        self.dye(31, text)
    }

    /// What counts.
    pub fn bold(self, text: &str) -> String {
        self.dye(1, text)
    }

    fn dye(self, code: u8, text: &str) -> String {
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
