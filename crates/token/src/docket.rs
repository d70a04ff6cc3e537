//! What a token has done wrong so far.

use keystile_keyring::Kid;

use crate::claims::ClaimFault;
use crate::reason::Reason;
use crate::sandbox_id::SandboxId;
use crate::verdict::{Rejection, Signature};

/// Collects the rules that a token breaks.
///
/// A final one ends the case. One that a newer generation could change is remembered, and the rules
/// after it are still looked at: if one of those is final, no generation can help the token, and the
/// store need not be read for it.
pub(crate) struct Docket<'a> {
    kid: Option<&'a Kid>,
    first: Option<Reason>,
    pub(crate) signature: Signature,
}

impl<'a> Docket<'a> {
    pub(crate) fn new(kid: Option<&'a Kid>) -> Self {
        Self { kid, first: None, signature: Signature::NotChecked }
    }

    /// Notes a rule that is broken, if one is.
    pub(crate) fn note(&mut self, reason: Option<Reason>) -> Result<(), Rejection> {
        match reason {
            None => Ok(()),
            Some(reason) if reason.newer_generation_could_change() => {
                self.first.get_or_insert(reason);
                Ok(())
            }
            Some(reason) => Err(self.reject(reason, None)),
        }
    }

    /// Ends the case for good. `reason` counts unless another came first.
    pub(crate) fn reject(&self, reason: Reason, fault: Option<ClaimFault>) -> Rejection {
        match self.first {
            None => self.rejection(reason, fault, false),
            Some(first) => self.rejection(first, None, false),
        }
    }

    /// The rejection that a newer generation could change, if any rule is broken at all.
    pub(crate) fn open(&self) -> Option<Rejection> {
        self.first.map(|first| self.rejection(first, None, true))
    }

    fn rejection(&self, reason: Reason, fault: Option<ClaimFault>, reread: bool) -> Rejection {
        Rejection {
            reason,
            fault,
            kid: self.kid.cloned(),
            sandbox_id: None,
            signature: self.signature,
            alarm: self.signature == Signature::Good && reason.betrays_a_thief(),
            reread,
        }
    }
}

impl Rejection {
    /// The same, naming the sandbox if the signature vouches for it.
    pub(crate) fn about(self, sandbox_id: Option<&SandboxId>) -> Self {
        let vouched = self.signature == Signature::Good;
        Self { sandbox_id: sandbox_id.filter(|_| vouched).cloned(), ..self }
    }
}
