//! A token comes into use: how long it lives, and when it is renewed.

use std::time::Duration;

use keystile_keyring::UnixTime;

use super::Engine;
use crate::gateways::Issued;
use crate::ledger::Receipt;
use crate::schedule::{exchange_after, renewal_after};
use crate::state::{Lease, Origin};
use crate::token::{Expiry, Token};

impl Engine {
    /// Puts a token that a gateway gave into use.
    pub(super) fn install(&mut self, issued: Issued, origin: Origin) {
        let now = self.clock.now();
        let life = life_of(&issued, now);
        let renew_after = renewal_after(life, &self.timing, &self.dice);
        self.due = issued.asked_at.saturating_add(renew_after);
        let usable_until = life.map(|life| issued.asked_at.saturating_add(life));
        let receipt = if origin == Origin::Issued { Receipt::Bootstrap } else { Receipt::Renewal };
        self.hold(issued.token, issued.expires, origin, receipt, usable_until);
    }

    /// Puts a token that nobody has confirmed into use.
    pub(super) fn adopt(&mut self, token: &Token) {
        let now = self.clock.uptime();
        let expires = token.facts().expires;
        let left = match expires {
            Expiry::At(end) => Some(Duration::from_secs(end.since(self.clock.now()))),
            Expiry::Never | Expiry::Unknown => None,
        };
        self.due = now.saturating_add(exchange_after(left, &self.timing, &self.dice));
        let usable_until = left.map(|left| now.saturating_add(left));
        self.hold(token.clone(), expires, Origin::Given, Receipt::Adopted, usable_until);
    }

    fn hold(
        &mut self,
        token: Token,
        expires: Expiry,
        origin: Origin,
        receipt: Receipt,
        usable_until: Option<Duration>,
    ) {
        let now = self.clock.uptime();
        let renew_in = self.due.saturating_sub(now);
        let renew_at = self.clock.now().plus(renew_in.as_secs());
        let kid = token.facts().kid.clone();
        tracing::info!(
            kid = kid.as_ref().map(tracing::field::display),
            %expires,
            renew_in_s = renew_in.as_secs(),
            ?origin,
            "holding a token"
        );
        self.ledger.received(&token, receipt, now, usable_until);
        self.lease = Some(Lease { expires, renew_at, kid, origin });
        self.refusal = None;
        self.slot.send_replace(Some(token));
    }
}

/// The life that a token began when it was issued.
///
/// `exp - iat` are two readings of the gateway's own clock, so a supervisor whose clock is wrong still renews
/// in time; only where there is no `iat` does its clock count.
fn life_of(issued: &Issued, now: UnixTime) -> Option<Duration> {
    let Expiry::At(end) = issued.expires else { return None };
    let begin = issued.token.facts().issued_at.filter(|iat| *iat <= end).unwrap_or(now);
    Some(Duration::from_secs(end.since(begin)))
}
