//! What lies around a keyring in a Secret: who else writes it, and what this identity may do.

use keystile_store_kube::Examined;

use super::Check;
use crate::app::App;
use crate::place::Place;
use crate::world;

/// Above this share of the limit, members of others are worth a word: one in so many.
const MUCH: usize = 2;

/// The checks; none of a store that is no Secret.
pub(super) async fn checks(app: &App, place: &Place) -> Vec<Check> {
    let Place::Secret { name, .. } = place else {
        return Vec::new();
    };
    let store = world::kube_store(app.world.environment.as_ref(), name, false, app.world.clock.clone());
    match store.examine().await {
        Ok(Some(examined)) => vec![secret(&examined), rights(&examined)],
        Ok(None) => Vec::new(),
        Err(error) => vec![Check::error("secret", &error)],
    }
}

fn secret(examined: &Examined) -> Check {
    let (bytes, limit) = examined.bytes;
    if examined.immutable {
        let remedy = "delete it and create it anew from a copy without \"immutable\"";
        return Check::fail("secret", "it is immutable: no key can be replaced", remedy);
    }
    if !examined.managers.is_empty() {
        let who: Vec<_> = examined.managers.iter().copied().collect();
        let found = format!("{} manages it too, and may put an older keyring back", who.join(", "));
        return Check::warn("secret", found, "take the Secret out of what is managed there");
    }
    let found = format!("{bytes} of at most {limit} bytes");
    if bytes > limit / MUCH {
        return Check::warn("secret", found, "move members that are not the keyring's elsewhere");
    }
    Check::ok("secret", found)
}

fn rights(examined: &Examined) -> Check {
    if examined.missing.is_empty() {
        return Check::ok("rights", "this identity may do all that an operator does");
    }
    let found = format!("this identity may not {}", examined.missing.join(", nor "));
    Check::warn("rights", found, "if it is to rotate, grant it that; to look, it may be enough")
}
