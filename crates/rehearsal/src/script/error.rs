//! What is wrong with a script: line, found, expected.

/// A script that cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// A line that is no step.
    #[error("script line {line}: found {found}; expected {expected}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// Nothing would happen.
    #[error("the script is empty; expected at least one step, as in: at 4s rotate")]
    Empty,
    /// A step that would never be played.
    #[error("the step {step:?} comes after the end; expected it by then, or a later end than {end:?}")]
    AfterEnd {
        /// The step.
        step: String,
        /// The end.
        end: String,
    },
    /// Two ends.
    #[error("script line {line}: found a second end; expected one")]
    SecondEnd {
        /// The line, from 1.
        line: usize,
    },
    /// A script of unreasonable size.
    #[error("the script has {found} {what}; expected at most {most}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much of it.
        found: usize,
        /// How much may be.
        most: usize,
    },
    /// A fault that nobody knows.
    #[error(
        "there is no fault {found:?}; expected one of {known}, or a step such as \"at 9s hide-store for 2s\""
    )]
    UnknownFault {
        /// The name.
        found: String,
        /// The names that there are.
        known: String,
    },
    /// A replica that does not run.
    #[error("the script names {found}; this rehearsal runs {gateways} gateways")]
    NoSuchReplica {
        /// The replica.
        found: String,
        /// How many run.
        gateways: usize,
    },
}
