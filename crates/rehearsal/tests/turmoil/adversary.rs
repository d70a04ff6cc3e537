//! An adversary, who presents what must be refused: forged tokens, and every token that was ever minted.

use std::sync::Arc;

use keystile_system::Clock as _;
use keystile_testkit::forger::{Forger, ForgingKey};

use crate::oracle::{Facts, Maker};
use crate::world::chance::Chance;
use crate::world::{Caller, World};

/// Presents tokens for ever.
pub async fn attack(world: Arc<World>, mut chance: Chance) {
    let mut caller = Caller::new(&world, world.supervisors.len());
    let own = ForgingKey::from_seed([7; 32]);
    loop {
        tokio::time::sleep(chance.millis(500, 7_000)).await;
        let gateway = chance.index(world.gateways.len());
        let token = match chance.index(6) {
            0 => forged(&world, &mut chance, gateway, &own).map(|token| (token, Maker::Stranger)),
            1 => stolen(&world, &mut chance, gateway).map(|token| (token, Maker::Thief)),
            _ => world.any_minted(&mut chance).map(|token| (token, Maker::Keyring)),
        };
        let Some((token, maker)) = token else { continue };
        let facts =
            if maker == Maker::Keyring { world.genuine(&token) } else { Facts::of(&token).map(Arc::new) };
        if let Some(facts) = facts {
            caller.present(gateway, &token, &facts, maker).await;
        }
    }
}

/// A token that names a key of the keyring, and is signed by another.
fn forged(world: &World, chance: &mut Chance, gateway: usize, own: &ForgingKey) -> Option<String> {
    let manifest = &world.truth.newest()?.manifest;
    let now = world.gateways[gateway].clock.now().0;
    let kid = &manifest.keys.get(chance.index(manifest.keys.len()))?.kid;
    let key = world.truth.private_key(kid)?;
    Some(Forger::sandbox(&key, "sandbox-0", now, now + 20).signed(own))
}

/// A token that a thief signs now, with any key that there ever was, revoked and destroyed ones too.
fn stolen(world: &World, chance: &mut Chance, gateway: usize) -> Option<String> {
    let kids = world.truth.kids();
    let key = world.truth.private_key(kids.get(chance.index(kids.len()))?)?;
    let now = world.gateways[gateway].clock.now().0;
    Some(Forger::sandbox(&key, "sandbox-0", now, now + 20).signed(&ForgingKey::of(&key)))
}
