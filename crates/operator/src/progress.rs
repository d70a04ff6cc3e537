//! What an operation tells its caller while it goes on.

use keystile_keyring::manifest::Operation;
use keystile_keyring::plan::Plan;
use keystile_keyring::{Gate, UnixTime};

use crate::OperateError;

/// Hears of an operation's steps as they happen.
pub trait Progress: Send {
    /// A generation was committed.
    fn committed(&mut self, plan: &Plan);

    /// A rotation waits; called again whenever what it waits for has changed, and every second.
    fn waiting(&mut self, operation: &Operation, gate: &Gate, now: UnixTime);

    /// The store is away in the middle of a rotation, which waits for it; called again at each attempt.
    fn interrupted(&mut self, _: &OperateError) {}

    /// Something else was done, in a sentence.
    fn did(&mut self, what: &str);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn committed(&mut self, _: &Plan) {}
    fn waiting(&mut self, _: &Operation, _: &Gate, _: UnixTime) {}
    fn did(&mut self, _: &str) {}
}
