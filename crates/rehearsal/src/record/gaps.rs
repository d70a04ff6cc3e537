//! How long a supervisor had no token that was accepted.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::event::TokenFacts;
use crate::moment::Moment;

/// Why a supervisor was without a usable token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The operator had ended the validity of its token.
    Ordered,
    /// Nobody had: this must not happen.
    Unordered,
}

/// A time without a usable token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// From the first call that was refused, or for which there was no token …
    pub from: Moment,
    /// … to the first that was accepted again; `None` if there was none.
    pub to: Option<Moment>,
    /// Why.
    pub cause: Cause,
}

impl Gap {
    /// How long it lasted, if it had ended by `now` at the latest.
    pub fn length(&self, now: Moment) -> Duration {
        self.to.unwrap_or(now).since(self.from)
    }
}

/// Follows one supervisor.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    closed: Vec<Gap>,
    open: Option<Gap>,
    last_accepted: Option<Arc<TokenFacts>>,
}

/// The most gaps that are kept; of further ones the longest.
const MOST: usize = 64;

impl Gaps {
    /// A call was accepted.
    pub fn accepted(&mut self, at: Moment, token: &Arc<TokenFacts>) {
        if let Some(gap) = self.open.take() {
            self.close(Gap { to: Some(at), ..gap });
        }
        if self.last_accepted.as_ref() != Some(token) {
            self.last_accepted = Some(Arc::clone(token));
        }
    }

    /// Keeps a gap; once there are too many, of each cause the longest: none may hide one of the other.
    fn close(&mut self, gap: Gap) {
        if self.closed.len() < MOST {
            self.closed.push(gap);
            return;
        }
        let length = |gap: &Gap| gap.to.map(|to| to.since(gap.from));
        let alike = self.closed.iter_mut().filter(|one| one.cause == gap.cause);
        match alike.min_by_key(|one| length(one)) {
            Some(shortest) if length(shortest) < length(&gap) => *shortest = gap,
            Some(_) => {}
            // All that are kept are of the other cause.
            None => {
                self.closed.pop();
                self.closed.push(gap);
            }
        }
    }

    /// A call was refused, or there was no token for it. Whether a gap begins with that.
    pub fn without(&mut self, at: Moment, cause: Cause) -> bool {
        let begins = self.open.is_none();
        self.open.get_or_insert(Gap { from: at, to: None, cause });
        begins
    }

    /// The token of the last call that was accepted.
    pub fn last_accepted(&self) -> Option<&Arc<TokenFacts>> {
        self.last_accepted.as_ref()
    }

    /// Whether there is no usable token now.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// All of them, the present one included.
    pub fn iter(&self) -> impl Iterator<Item = &Gap> {
        self.closed.iter().chain(&self.open)
    }

    /// The longest one of a cause, at `now`.
    pub fn longest(&self, cause: Cause, now: Moment) -> Duration {
        let lengths = self.iter().filter(|gap| gap.cause == cause).map(|gap| gap.length(now));
        lengths.max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{facts, moment};

    #[test]
    fn a_gap_lasts_from_the_first_refusal_to_the_next_acceptance() {
        let mut gaps = Gaps::default();
        gaps.accepted(moment(1.0), &facts("a"));
        gaps.without(moment(2.0), Cause::Ordered);
        gaps.without(moment(2.5), Cause::Unordered);
        assert_eq!(gaps.longest(Cause::Ordered, moment(3.0)), Duration::from_secs(1), "an open gap counts");
        gaps.accepted(moment(4.5), &facts("b"));
        gaps.accepted(moment(6.0), &facts("b"));
        assert!(!gaps.is_open());
        assert_eq!(gaps.longest(Cause::Ordered, moment(9.0)), Duration::from_millis(2500));
        assert_eq!(gaps.longest(Cause::Unordered, moment(9.0)), Duration::ZERO, "its first cause counts");
        assert_eq!(gaps.last_accepted(), Some(&facts("b")));
    }

    #[test]
    fn the_wait_for_the_first_token_is_a_gap_too() {
        let mut gaps = Gaps::default();
        gaps.without(moment(0.0), Cause::Unordered);
        gaps.accepted(moment(0.5), &facts("a"));
        assert_eq!(gaps.longest(Cause::Unordered, moment(9.0)), Duration::from_millis(500));
    }

    #[test]
    fn however_many_there_are_the_longest_is_kept() {
        let mut gaps = Gaps::default();
        for index in 0..1000 {
            let at = f64::from(index);
            gaps.without(moment(at), Cause::Unordered);
            let length = if index == 700 { 0.9 } else { 0.1 };
            gaps.accepted(moment(at + length), &facts("a"));
        }
        assert!(gaps.iter().count() <= MOST);
        assert_eq!(gaps.longest(Cause::Unordered, moment(2000.0)), Duration::from_millis(900));
    }

    #[test]
    fn a_gap_that_nobody_ordered_is_not_hidden_by_longer_ones_that_somebody_did() {
        for nobodys in [10, 100, 900] {
            let mut gaps = Gaps::default();
            for index in 0..1000 {
                let (at, nobody) = (f64::from(index), index == nobodys);
                gaps.without(moment(at), if nobody { Cause::Unordered } else { Cause::Ordered });
                gaps.accepted(moment(at + if nobody { 0.1 } else { 0.5 }), &facts("a"));
            }
            assert!(gaps.iter().count() <= MOST);
            assert_eq!(
                gaps.longest(Cause::Unordered, moment(2000.0)),
                Duration::from_millis(100),
                "{nobodys}"
            );
        }
    }
}
