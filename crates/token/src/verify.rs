//! Sandbox tokens: from bytes to the rules.

use keystile_keyring::{Kid, UnixTime};

use crate::extension::EXTENSION_TYP;
use crate::json::Value;
use crate::judge::{Case, at_once};
use crate::jws::{Header, Segments, Unverified};
use crate::keyring::Keyring;
use crate::reason::Reason;
use crate::verdict::{Circumstance, Verdict};

/// The `typ` of a sandbox token, if it has one.
pub(crate) const SANDBOX_TYP: &str = "JWT";

impl Keyring {
    /// The verdict on a sandbox token at `now`.
    pub fn verify(&self, token: &[u8], now: UnixTime) -> Verdict {
        self.verify_with(token, now, Circumstance::Usual)
    }

    /// The verdict on a sandbox token at `now`, under a circumstance.
    pub fn verify_with(&self, token: &[u8], now: UnixTime, circumstance: Circumstance) -> Verdict {
        self.sandbox_verdict(token, now, circumstance).unwrap_or_else(|reason| at_once(reason, None))
    }

    fn sandbox_verdict(
        &self,
        token: &[u8],
        now: UnixTime,
        circumstance: Circumstance,
    ) -> Result<Verdict, Reason> {
        let segments = Segments::split(token)?;
        let (header, payload) = (segments.header()?, segments.payload()?);
        let token = Unverified { header: Header::read(&header)?, payload };
        match self.route(&token) {
            Route::Foreign => return Ok(Verdict::NotOurs),
            Route::Refused(reason) => return Ok(at_once(reason, token.header.kid.kid())),
            Route::Ours => {}
        }
        let kid = token.header.key()?;
        let audience = self.issuer();
        let case =
            Case { keyring: self, segments: &segments, token: &token, kid, audience, now, circumstance };
        Ok(case.verdict())
    }

    /// Whose token it is. `iss` is read before the signature only to refuse or to route.
    fn route(&self, token: &Unverified<'_>) -> Route {
        // First, so that no other authenticator sees it.
        if token.header.typ == Some(EXTENSION_TYP) {
            return Route::Refused(Reason::ExtensionToken);
        }
        let known = token.header.kid.kid().is_some_and(|kid| self.knows(kid));
        match token.payload.get("iss") {
            _ if known => {}
            Some(Value::String(issuer)) if issuer == self.issuer() => {}
            Some(Value::String(_)) | None => return Route::Foreign,
            // A string by RFC 7519 section 4.1.1; in any other shape ours could hide.
            Some(_) => return Route::Refused(Reason::Malformed),
        }
        if token.header.asks_for_more {
            return Route::Refused(Reason::Malformed);
        }
        if token.header.typ.is_some_and(|typ| typ != SANDBOX_TYP) {
            return Route::Refused(Reason::WrongType);
        }
        Route::Ours
    }

    /// Whether the keyring holds, or once held, a key of this kid.
    pub(crate) fn knows(&self, kid: &Kid) -> bool {
        self.manifest().key(kid).is_some() || self.manifest().tombstone(kid).is_some()
    }
}

/// Where a token goes.
enum Route {
    Ours,
    Foreign,
    Refused(Reason),
}
