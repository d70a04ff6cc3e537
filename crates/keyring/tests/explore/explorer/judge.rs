//! What is asked in every state, whatever led to it.

use keystile_keyring::manifest::{End, PrivateState};
use keystile_keyring::{Breach, Key, Kid, Lookup, Manifest, TokenTimes, UnixTime};

use super::rules::Rules;
use super::scene::{Minted, Scene};
use super::search::Counts;
use super::story::Violation;
use crate::world::{START, Token, Why};

type Held = Result<(), Violation>;

impl Scene {
    /// Mints with every replica that could exist, puts every token to every replica that could exist, and
    /// asks for what must not be accepted.
    pub fn judge(&mut self, rules: &Rules, counts: &mut Counts) -> Held {
        self.forget_expired();
        self.mint(counts)?;
        for minted in &self.tokens {
            self.accepted(minted, rules, counts)?;
            if self.setting.strict {
                self.accepted_cut_off(minted, rules, counts)?;
            }
        }
        self.nothing_after_the_end(rules, counts)?;
        self.nothing_of_the_revoked(rules, counts)?;
        self.starts_with_nothing_revoked(rules)?;
        if self.setting.thief {
            self.launder(rules);
            self.nothing_laundered(rules, counts)?;
        }
        Ok(())
    }

    fn forget_expired(&mut self) {
        let now = UnixTime(self.now);
        let alive = |minted: &Minted| minted.token.times.expires_at.is_none_or(|exp| exp >= now);
        let (cut, floor) = (&self.cut, self.newest().lineage_floor);
        let floor = floor.unwrap_or(UnixTime::EPOCH);
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.retain(|minted| {
            let may_be_cut = cut.contains(&minted.token.kid) || minted.token.times.lineage_began <= floor;
            alive(minted) && !may_be_cut
        });
        // Of tokens without an end, the oldest and the latest say what all of them say.
        let endless = |minted: &Minted| minted.token.times.expires_at.is_none();
        let first: Vec<_> = (0..tokens.len())
            .filter(|index| {
                tokens[..*index].iter().all(|earlier| earlier.token.kid != tokens[*index].token.kid)
            })
            .map(|index| tokens[index].token.clone())
            .collect();
        tokens
            .retain(|minted| !endless(minted) || first.contains(&minted.token) || minted.at + 3 >= self.now);
        self.tokens = tokens;
        self.laundered.retain(|(_, minted)| alive(minted));
    }

    /// I1, I2 and the beginning of I3: every replica within its staleness can sign, with a key that every
    /// other one knows, and would itself accept what it signs.
    fn mint(&mut self, counts: &mut Counts) -> Held {
        let minters: Vec<_> = self.minters().collect();
        for held in minters {
            for offset in self.setting.offsets.iter().copied() {
                let Some(token) = self.sign(held, offset)? else { continue };
                self.known_everywhere(&token.kid)?;
                let minted = Minted { token, at: self.now, held, offset };
                let (kid, floor) = (&minted.token.kid, self.newest().lineage_floor);
                let cut = self.cut.contains(kid)
                    || floor.is_some_and(|floor| minted.token.times.lineage_began <= floor);
                if !cut && self.tokens.iter().all(|known| known.token != minted.token) {
                    counts.tokens += 1;
                    self.tokens.push(minted);
                }
            }
        }
        Ok(())
    }

    fn minters(&self) -> impl Iterator<Item = usize> {
        let least = if self.setting.strict { self.least } else { 0 };
        self.holders(|policy| policy.max_staleness).filter(move |held| *held >= least)
    }

    fn sign(&self, held: usize, offset: u64) -> Result<Option<Token>, Violation> {
        let (manifest, clock) = (self.generation(held), self.clock(offset));
        let who = || self.replica(held, offset);
        // A repair cannot give slower clocks a private key that is lost.
        let repaired =
            manifest.history.last().is_some_and(|last| last.verb == "reconcile" && clock < last.at);
        let Some(key) = manifest.active_at(clock) else {
            return Err(self.violation("I1", format!("{} has no key to sign with at {clock}", who())));
        };
        if key.private != PrivateState::Present {
            let what =
                format!("{} is to sign with {} at {clock}, and its private key is gone", who(), key.kid);
            return if repaired { Ok(None) } else { Err(self.violation("I1", what)) };
        }
        let times = minted_at(clock, manifest);
        match manifest.breaches(Some(key), times, clock).find(|breach| *breach != Breach::LineageRevoked) {
            None => Ok(Some(Token { kid: key.kid.clone(), times })),
            Some(breach) => {
                let what =
                    format!("{} refuses what it would sign with {} at {clock}: {breach:?}", who(), key.kid);
                Err(self.violation("I3", what))
            }
        }
    }

    /// I2: no key signs that a live replica has never heard of.
    fn known_everywhere(&self, kid: &Kid) -> Held {
        if self.ungated.contains(kid) {
            return Ok(());
        }
        let now = self.clock(0);
        let mut live = self.holders(|policy| policy.max_staleness).filter(|held| *held >= self.least);
        match live.find(|held| self.generation(*held).lookup(kid, now) == Lookup::Unknown) {
            None => Ok(()),
            Some(held) => {
                Err(self
                    .violation("I2", format!("{kid} signs, and {} never heard of it", self.replica(held, 0))))
            }
        }
    }

    /// I3: whoever can read the store accepts it, at once or after a read.
    fn accepted(&self, minted: &Minted, rules: &Rules, counts: &mut Counts) -> Held {
        let token = &minted.token;
        if token.times.expires_at.is_none() && self.deadline.contains(&token.kid) {
            return Ok(());
        }
        for held in self.holders(rules.verifies_for) {
            for offset in self.setting.offsets.iter().copied() {
                let clock = self.clock(offset);
                if token.times.expires_at.is_some_and(|exp| clock > exp) {
                    continue;
                }
                counts.verdicts += 1;
                let Err(why) = (rules.verify)(self.generation(held), token, clock) else {
                    self.published_to_others(held, offset, minted, rules)?;
                    continue;
                };
                let again = why.newer_generation_could_change()
                    && (rules.verify)(self.newest(), token, clock).is_ok();
                if !again {
                    let what = format!("{} refuses it: {}", self.replica(held, offset), said(why));
                    return Err(self.violation_of("I3", minted, what));
                }
            }
        }
        Ok(())
    }

    /// I9: an outside verifier that asks this replica for its JWK Set can verify what the replica accepts.
    fn published_to_others(&self, held: usize, offset: u64, minted: &Minted, rules: &Rules) -> Held {
        let kid = &minted.token.kid;
        let state = self.generation(held).state_at(kid, self.clock(offset));
        if state.is_some_and(rules.published) {
            return Ok(());
        }
        let what = format!("{} accepts it, and its JWK Set lacks {kid}", self.replica(held, offset));
        Err(self.violation_of("I9", minted, what))
    }

    /// I3 after planned rotations: whoever is within its staleness accepts it without a read.
    fn accepted_cut_off(&self, minted: &Minted, rules: &Rules, counts: &mut Counts) -> Held {
        let token = &minted.token;
        for held in self.minters() {
            for offset in self.setting.offsets.iter().copied() {
                let (clock, manifest) = (self.clock(offset), self.generation(held));
                if token.times.expires_at.is_some_and(|exp| clock > exp) {
                    continue;
                }
                counts.verdicts += 1;
                let Err(why) = (rules.verify)(manifest, token, clock) else { continue };
                if !(rules.doubt)(manifest, token, why, self.confirmed(held, offset)) {
                    let who = self.replica(held, offset);
                    let what =
                        format!("{who}, which cannot read its store, does not accept it: {}", said(why));
                    return Err(self.violation_of("I3", minted, what));
                }
            }
        }
        Ok(())
    }

    /// I4, and what a stolen key can do: by the newest generation nothing is accepted after accept-until,
    /// nothing signed after the last honest instant, and nothing that lives longer than what was signed.
    fn nothing_after_the_end(&self, rules: &Rules, counts: &mut Counts) -> Held {
        let newest = self.newest();
        for clock in self.setting.offsets.iter().map(|offset| self.clock(*offset)) {
            let signer = newest.active_at(clock).map(|key| &key.kid);
            for key in newest.keys.iter().filter(|key| Some(&key.kid) != signer) {
                for (forged, why) in forgeries(key, clock) {
                    counts.verdicts += 1;
                    if (rules.verify)(newest, &forged, clock).is_ok() {
                        let what =
                            format!("at {clock} a forged token of {} is accepted {why}: {forged:?}", key.kid);
                        return Err(self.violation("I4", what));
                    }
                }
            }
        }
        Ok(())
    }

    /// I8: whoever has heard of a revocation, and after verify_staleness everybody, refuses the key.
    fn nothing_of_the_revoked(&self, rules: &Rules, counts: &mut Counts) -> Held {
        let longest =
            self.log.iter().map(|landed| landed.manifest.policy.verify_staleness).max().unwrap_or(0);
        for (kid, landed) in &self.revoked {
            for held in self.holders(rules.verifies_for) {
                let clock = self.clock(0);
                if !knows(self.generation(held), kid) && self.now <= landed + longest {
                    continue;
                }
                counts.verdicts += 1;
                let forged = forged(kid, clock, clock.plus(1));
                if (rules.verify)(self.generation(held), &forged, clock).is_ok() {
                    let what = format!(
                        "{} accepts a token of {kid}, whose revocation landed at {landed}",
                        self.replica(held, 0)
                    );
                    return Err(self.violation("I8", what));
                }
            }
        }
        Ok(())
    }

    /// I8: a replica that starts on a backup loads nothing that the witness knows to be revoked.
    fn starts_with_nothing_revoked(&self, rules: &Rules) -> Held {
        let Some(backup) = &self.backup else { return Ok(()) };
        let (store, witness) = (self.generation(backup.index), self.generation(self.witness));
        if (rules.standing)(store, witness).is_broken() {
            return Ok(());
        }
        match witness.revoked_kids().find(|kid| !knows(store, kid)) {
            None => Ok(()),
            Some(kid) => {
                let what = format!("a replica that starts now holds {kid} as good, which was revoked");
                Err(self.violation("I8", what))
            }
        }
    }

    /// A thief of any key that is good forges a token, of a lineage of his choice, and has it refreshed into
    /// a genuine one of another key.
    fn launder(&mut self, rules: &Rules) {
        let clock = self.clock(0);
        let minters: Vec<_> = self.minters().collect();
        for held in minters {
            let manifest = self.generation(held);
            let Some(signer) = manifest.active_at(clock).filter(|key| key.private == PrivateState::Present)
            else {
                continue;
            };
            let mut laundered = Vec::new();
            for stolen in manifest.keys.iter().filter(|key| key.kid != signer.kid) {
                for began in [UnixTime(START - 1), clock] {
                    let mut forged = forged(&stolen.kid, clock, clock.plus(1));
                    forged.times.lineage_began = began;
                    if (rules.verify)(manifest, &forged, clock).is_ok() {
                        let times = TokenTimes { lineage_began: began, ..minted_at(clock, manifest) };
                        let token = Token { kid: signer.kid.clone(), times };
                        laundered.push((stolen.kid.clone(), Minted { token, at: self.now, held, offset: 0 }));
                    }
                }
            }
            laundered.retain(|(kid, minted)| {
                self.laundered.iter().all(|(of, known)| of != kid || known.token != minted.token)
            });
            self.laundered.extend(laundered);
        }
    }

    /// I8 with descendants: what a thief laundered up to the instant of the revocation is refused.
    fn nothing_laundered(&self, rules: &Rules, counts: &mut Counts) -> Held {
        let newest = self.newest();
        let Some(change) =
            newest.history.iter().find(|change| change.reason.as_deref() == Some("descendants"))
        else {
            return Ok(());
        };
        for (stolen, minted) in &self.laundered {
            let clock = self.clock(0);
            let revoked = knows(newest, stolen) && minted.token.times.issued_at <= change.at;
            counts.verdicts += 1;
            if revoked && (rules.verify)(newest, &minted.token, clock).is_ok() {
                let what = format!(
                    "it descends from a token forged of {stolen}, with a lineage from {}, and is accepted after {stolen} \
                     was revoked with its descendants",
                    minted.token.times.lineage_began
                );
                return Err(self.violation_of("I8", minted, what));
            }
        }
        Ok(())
    }
}

/// The times of a token of a fresh lineage.
fn minted_at(clock: UnixTime, manifest: &Manifest) -> TokenTimes {
    let ttl = manifest.policy.token_ttl;
    TokenTimes { issued_at: clock, expires_at: (ttl != 0).then(|| clock.plus(ttl)), lineage_began: clock }
}

fn forged(kid: &Kid, iat: UnixTime, exp: UnixTime) -> Token {
    let times = TokenTimes { issued_at: iat, expires_at: Some(exp), lineage_began: iat };
    Token { kid: kid.clone(), times }
}

/// What nobody may accept of a key that does not sign now, and why.
fn forgeries(key: &Key, clock: UnixTime) -> Vec<(Token, &'static str)> {
    let Some(bounds) = key.superseded else {
        return vec![(forged(&key.kid, clock.minus(9), clock), "before its activation")];
    };
    let mut forgeries = Vec::new();
    if bounds.accept_until.is_some_and(|until| clock > until) {
        let young =
            [forged(&key.kid, clock, clock.plus(1)), forged(&key.kid, bounds.last_iat, clock.plus(1))];
        forgeries.extend(young.map(|token| (token, "after accept-until")));
    }
    if clock > bounds.at {
        let late = bounds.last_iat.plus(1);
        forgeries.push((forged(&key.kid, late, late.max(clock)), "though it was signed after last_iat"));
        if let Some(longest) = key.bounded_lifetime() {
            let long = forged(&key.kid, bounds.at, bounds.at.plus(longest + 1));
            forgeries.push((long, "though it lives longer than the key's tokens"));
        }
    }
    forgeries
}

/// Whether a manifest knows that a key was revoked.
pub fn knows(manifest: &Manifest, kid: &Kid) -> bool {
    let gone = |end| matches!(manifest.lookup(kid, UnixTime::EPOCH), Lookup::Gone(found) if found == end);
    manifest.key(kid).is_some_and(|key| key.revoked.is_some()) || gone(End::Revoked)
}

fn said(why: Why) -> String {
    match why {
        Why::UnknownKid => "its kid is unknown".to_owned(),
        Why::Gone(end) => format!("its key is gone ({end:?})"),
        Why::Breach(breach) => format!("{breach:?}"),
    }
}
