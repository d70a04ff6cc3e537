//! A token that was accepted, without its bytes: what a stream is judged by that goes on after its request.

use std::sync::Arc;

use keystile_keyring::UnixTime;

use crate::claims::Claims;
use crate::judge::{Case, Reading, at_once};
use crate::keyring::Keyring;
use crate::reason::Reason;
use crate::remembered::Author;
use crate::verdict::{Accepted, Circumstance, Verdict};

/// A token that was accepted, and who signed it. What it says cannot become untrue; whether it is good is to be asked
/// again and again, and needs neither its bytes nor another check of its signature.
#[derive(Clone, Debug)]
pub struct Vouched {
    author: Arc<Author>,
    claims: Claims,
}

impl Vouched {
    /// What it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The key that signed it.
    pub fn kid(&self) -> &keystile_keyring::Kid {
        &self.author.kid
    }
}

impl Keyring {
    /// What this keyring vouches for, having accepted it; `None` if it does not hold the key.
    pub fn vouch(&self, accepted: &Accepted) -> Option<Vouched> {
        let author = Arc::clone(self.author(&accepted.kid)?);
        Some(Vouched { author, claims: accepted.claims.clone() })
    }

    /// The verdict at `now` on a token that was accepted before: every rule anew, but its signature.
    ///
    /// For `grace` seconds after it has expired it still counts, if that is all that is wrong with it: whose key is
    /// retired or revoked by `now`, or whose lineage is, has no grace.
    pub fn verify_again(
        &self,
        vouched: &Vouched,
        now: UnixTime,
        grace: u64,
        circumstance: Circumstance,
    ) -> Verdict {
        let verdict = self.judge_again(vouched, now, circumstance);
        let end = vouched.claims.expires_at.map(|exp| exp.plus(self.manifest().policy.leeway));
        match end {
            Some(end) if verdict.reason() == Some(Reason::Expired) && now <= end.plus(grace) => {
                self.judge_again(vouched, end, circumstance)
            }
            _ => verdict,
        }
    }

    fn judge_again(&self, vouched: &Vouched, now: UnixTime, circumstance: Circumstance) -> Verdict {
        let kid = &vouched.author.kid;
        if self.author(kid).is_some_and(|author| *author != vouched.author) {
            // The name is another key's now, which did not sign this.
            return at_once(Reason::BadSignature, Some(kid));
        }
        let audience = self.issuer();
        let case = Case { keyring: self, kid, audience, now, circumstance };
        case.verdict_on(Reading::of_remembered(vouched.claims.clone(), audience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_keyring::manifest::{Origin, Revoked};
    use keystile_keyring::plan::{self, Candidate};
    use keystile_keyring::{GatewayId, Manifest, Policy};
    use keystile_system::SystemEntropy;

    use crate::{BootstrapMethod, PrivateKey, PrivateKeys, SandboxGrant, SandboxId, digest, kid_of};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    /// A keyring of one key, its manifest, and what it vouches for at `NOW`.
    fn vouched() -> (Manifest, Vouched) {
        let private = PrivateKey::generate(&SystemEntropy).unwrap();
        let public_key = private.public_key();
        let first = Candidate { kid: kid_of(&public_key), public_key, origin: Origin::Generated };
        let policy = Policy { token_ttl: 100, leeway: 10, ..Policy::default() };
        let manifest =
            plan::init(GatewayId::new("openshell").unwrap(), policy, &first, "me", NOW).unwrap().next;
        let mut keys = PrivateKeys::new();
        keys.insert(first.kid, private).unwrap();
        let keyring = Keyring::open(manifest.clone(), digest(b""), keys).unwrap();
        let id = SandboxId::new("sandbox-1").unwrap();
        let grant = SandboxGrant::bootstrap(id, BootstrapMethod::TokenFile, NOW);
        let minted = keyring.mint(&grant, NOW).unwrap();
        let Verdict::Accepted(accepted) = keyring.verify(minted.token.expose().as_bytes(), NOW) else {
            panic!("a fresh token is accepted");
        };
        (manifest, keyring.vouch(&accepted).unwrap())
    }

    fn reason(manifest: &Manifest, vouched: &Vouched, after: u64, grace: u64) -> Option<Reason> {
        let keyring = Keyring::verify_only(manifest.clone(), digest(b"")).unwrap();
        keyring.verify_again(vouched, NOW.plus(after), grace, Circumstance::Usual).reason()
    }

    #[test]
    fn a_grace_is_for_expiry_and_to_the_second() {
        let (manifest, vouched) = vouched();
        assert_eq!(reason(&manifest, &vouched, 110, 0), None);
        assert_eq!(reason(&manifest, &vouched, 111, 0), Some(Reason::Expired));
        assert_eq!(reason(&manifest, &vouched, 140, 30), None);
        assert_eq!(reason(&manifest, &vouched, 141, 30), Some(Reason::Expired));
    }

    #[test]
    fn a_grace_is_not_for_a_lineage_that_was_revoked() {
        let (mut manifest, vouched) = vouched();
        manifest.lineage_floor = Some(NOW);
        assert_eq!(reason(&manifest, &vouched, 50, 30), Some(Reason::LineageRevoked));
        assert_eq!(
            reason(&manifest, &vouched, 120, 30),
            Some(Reason::LineageRevoked),
            "expired, and within it"
        );
    }

    #[test]
    fn a_grace_is_not_for_a_key_that_was_revoked_retired_or_replaced() {
        let (manifest, vouched) = vouched();
        let mut other = self::vouched().0;
        // Another key, under a name that was this one's.
        other.keys[0].kid = vouched.kid().clone();
        other.timeline[0].kid = vouched.kid().clone();
        assert_eq!(reason(&other, &vouched, 50, 30), Some(Reason::BadSignature));
        let mut gone = self::vouched().0;
        gone.tombstones.push(keystile_keyring::manifest::Tombstone {
            kid: vouched.kid().clone(),
            end: keystile_keyring::manifest::End::Retired,
            at: NOW,
            named_until: None,
        });
        assert_eq!(reason(&gone, &vouched, 120, 30), Some(Reason::RetiredKey));
        let mut revoked = gone.clone();
        let mut key = manifest.keys[0].clone();
        key.revoked = Some(Revoked { at: NOW, reason: "lost".to_owned() });
        revoked.tombstones.clear();
        revoked.keys.insert(0, key);
        assert_eq!(reason(&revoked, &vouched, 120, 30), Some(Reason::RevokedKey));
    }
}
