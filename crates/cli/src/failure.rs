//! What a verb that did not succeed says: what was found, what was expected, what to do.

use std::error::Error;
use std::fmt::Write as _;

use keystile_keyring::{Code, Refusal};
use keystile_store::LoadError;
use serde::Serialize;

use crate::console::harmless_lines;
use crate::exit::Exit;

/// What stands before the second and later lines of one text.
const INDENT: &str = "    ";

/// A verb that did not succeed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    exit: Exit,
    code: Option<&'static str>,
    found: String,
    expected: Option<Box<str>>,
    remedy: Option<Box<str>>,
    generation: Option<u64>,
    causes: Vec<String>,
}

/// A failure as JSON, on standard error.
#[derive(Serialize)]
struct FailureDocument<'a> {
    /// Always `keystile/error/v1`.
    schema: &'static str,
    /// The exit code of the process.
    exit: u8,
    /// The stable code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// The generation in which a rotation that was held up stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    /// What was found.
    found: &'a str,
    /// What was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a str>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
    /// The chain of causes, outermost first.
    causes: &'a [String],
}

impl Failure {
    /// A failure that ends the process with `exit`, and what was found.
    pub(crate) fn new(exit: Exit, found: impl Into<String>) -> Self {
        let (code, expected, remedy, generation, causes) = (None, None, None, None, Vec::new());
        Self { exit, code, found: found.into(), expected, remedy, generation, causes }
    }

    /// A mistake in the command line.
    pub(crate) fn usage(found: impl Into<String>) -> Self {
        Self::new(Exit::Usage, found)
    }

    /// A verdict that was told already: the process ends with `exit` and says no more.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// Whether everything was told already.
    pub(crate) fn is_silent(&self) -> bool {
        self.found.is_empty()
    }

    /// A refusal, with its stable code.
    pub(crate) fn refused(code: Code, found: impl Into<String>) -> Self {
        Self { code: Some(code.as_str()), ..Self::new(Exit::Refused, found) }
    }

    /// An error of a library, with its chain of sources.
    pub(crate) fn of(exit: Exit, error: &(dyn Error + 'static)) -> Self {
        let (found, remedy) = parts(error);
        let mut failure =
            Self { remedy: remedy.map(Into::into), ..Self::new(exit, found) }.because(error.source());
        if exit == Exit::Unreachable && failure.remedy.is_none() {
            failure.remedy = Some(
                "mend what is named, then run the command again; keystile doctor looks at the store".into(),
            );
        }
        failure
    }

    /// What was expected instead.
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into().into());
        self
    }

    /// What to do.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into().into());
        self
    }

    /// Adds `error` and its sources as causes.
    pub(crate) fn because(mut self, error: Option<&(dyn Error + 'static)>) -> Self {
        let chain = std::iter::successors(error, |error: &&(dyn Error + 'static)| (*error).source());
        for error in chain.take(16) {
            let (cause, remedy) = parts(error);
            self.causes.push(cause);
            self.remedy = self.remedy.or(remedy.map(Into::into));
        }
        self
    }

    /// The generation in which what was refused stands.
    pub(crate) fn at(mut self, generation: u64) -> Self {
        self.generation = Some(generation);
        self
    }

    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// For people, on several lines.
    pub(crate) fn text(&self) -> String {
        let mut text = match self.code {
            Some(code) => format!("refused [{code}]: {}\n", harmless_lines(&self.found, INDENT)),
            None => format!("error: {}\n", harmless_lines(&self.found, INDENT)),
        };
        let causes = self.causes.iter().map(|cause| ("because", cause.as_str()));
        let expected = self.expected.iter().map(|expected| ("expected", expected.as_ref()));
        let remedy = self.remedy.iter().map(|remedy| ("do", remedy.as_ref()));
        for (label, line) in causes.chain(expected).chain(remedy) {
            let _ = writeln!(text, "  {label}: {}", harmless_lines(line, INDENT));
        }
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        let document = FailureDocument {
            schema: "keystile/error/v1",
            exit: self.exit.code(),
            code: self.code,
            generation: self.generation,
            found: &self.found,
            expected: self.expected.as_deref(),
            remedy: self.remedy.as_deref(),
            causes: &self.causes,
        };
        serde_json::to_string_pretty(&document).map_or_else(|error| error.to_string(), |json| json + "\n")
    }
}

/// What an error found, and what it says to do.
fn parts(error: &(dyn Error + 'static)) -> (String, Option<String>) {
    error.downcast_ref().map_or_else(|| (error.to_string(), None), LoadError::in_parts)
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::refused(refusal.code, refusal.found).remedy(refusal.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn the_chain_of_sources_is_walked_and_nothing_is_said_twice() {
        let failure = Failure::of(Exit::Unreachable, &Outer(Inner)).expected("a store").remedy("make one");
        assert_eq!(failure.text(), "error: outer\n  because: inner\n  expected: a store\n  do: make one\n");
        assert_eq!(failure.exit().code(), 5);
    }

    #[test]
    fn a_refusal_keeps_its_stable_code() {
        let failure = Failure::from(Refusal::new(Code::LiveTokens, "tokens live", "wait"));
        assert_eq!(failure.text(), "refused [live-tokens]: tokens live\n  do: wait\n");
        let json: serde_json::Value = serde_json::from_str(&failure.json()).expect("JSON");
        assert_eq!(json["code"], "live-tokens");
        assert_eq!(json["exit"], 3);
    }
}
