//! Tokens that must be refused: what a thief of every private key would present.

use keystile_keyring::{Kid, Policy, UnixTime};

use crate::archive::Archive;
use crate::moment::Moment;
use crate::token::{Token, seconds};

/// A token that no replica may accept that holds `known` or a later generation.
#[derive(Clone, Debug)]
pub(crate) struct Forged {
    pub(crate) what: &'static str,
    pub(crate) kid: Kid,
    pub(crate) token: Token,
    /// The generation that says so; 0 where every one does.
    pub(crate) known: usize,
    /// Whether it may pass for a prepared key's while the store cannot be read (design: a replica that cannot ask
    /// must not reject a key that may have been activated).
    pub(crate) passes_unread: bool,
}

/// What the thief knows of a key: from the world's own account of what was ordered, not from the keyring's bounds.
#[derive(Clone, Debug)]
pub(crate) struct Loot {
    pub(crate) key: u8,
    /// When it was published, and in which generation.
    pub(crate) published: (UnixTime, usize),
    /// When it was first to sign, and which generation said so.
    pub(crate) signs: Option<(UnixTime, usize)>,
    /// When another was to sign in its place, and which generation said so.
    pub(crate) superseded: Option<(UnixTime, usize)>,
    /// Which generation revoked it.
    pub(crate) revoked: Option<usize>,
}

/// The tokens that the thief has at `now`, with a clock that is right.
pub(crate) fn arsenal(
    loot: &[Loot],
    floor: Option<(UnixTime, usize)>,
    policy: &Policy,
    archive: &Archive,
    now: Moment,
) -> Vec<Forged> {
    let wall = now.wall(0);
    let life = if policy.mints_forever() { 3600 } else { policy.token_ttl };
    let token = |key: u8, issued: UnixTime, life: u64| Token {
        issued: seconds(issued),
        expires: seconds(issued.plus(life)),
        began: seconds(issued),
        key,
    };
    let mut forged = Vec::new();
    let mut add = |what, key: u8, token: Token, known, passes_unread| {
        if let Some(kid) = archive.kid(key) {
            forged.push(Forged { what, kid: kid.clone(), token, known, passes_unread });
        }
    };
    // No clock is further from true time than max_skew.
    let margin = policy.max_skew + 1;
    for one in loot {
        if let Some(generation) = one.revoked {
            add("of a revoked key", one.key, token(one.key, wall, life), generation, false);
            continue;
        }
        match one.signs {
            None => {
                let (published, generation) = one.published;
                let mut minted = token(one.key, wall, life);
                add("of a prepared key", one.key, minted, generation, true);
                minted.issued = seconds(published.minus(margin));
                minted.began = minted.issued;
                add("backdated, of a prepared key", one.key, minted, generation, true);
            }
            Some((from, generation)) => {
                let early = token(one.key, from.minus(policy.max_skew + 1), life);
                add("signed before activation", one.key, early, generation, false);
            }
        }
        if let Some((at, generation)) = one.superseded {
            let last = at.plus(policy.max_staleness + policy.max_skew + policy.commit_delay);
            if wall > last.plus(margin) {
                add("signed after supersession", one.key, token(one.key, wall, life), generation, false);
            }
        } else if let Some((_, generation)) = one.signs.filter(|(from, _)| wall > from.plus(margin)) {
            let expired = token(one.key, wall.minus(life + policy.leeway + margin), life);
            add("expired", one.key, expired, generation, false);
            add("from the future", one.key, token(one.key, wall.plus(2 * margin), life), generation, false);
            if !policy.mints_forever() {
                add("that lives too long", one.key, token(one.key, wall, life + 1), generation, false);
            }
        }
    }
    let signer = loot.iter().rev().find(|one| one.revoked.is_none() && one.superseded.is_none());
    if let (Some((floor, generation)), Some(signer)) = (floor, signer) {
        let descendant = Token { began: seconds(floor), ..token(signer.key, wall, life) };
        add("that descends from a revoked key", signer.key, descendant, generation, false);
    }
    if let Ok(kid) = Kid::new("a-strangers-key") {
        let token = token(u8::MAX, wall, life);
        forged.push(Forged { what: "of an unknown key", kid, token, known: 0, passes_unread: false });
    }
    forged
}
