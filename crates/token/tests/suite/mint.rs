//! Minting, and what is minted.

use crate::common::{kid, simple};
use keystile_keyring::{KeyState, UnixTime};
use keystile_token::{BootstrapMethod, SandboxGrant, SandboxId, Verdict};

#[test]
fn what_is_minted_is_accepted() {
    let (keyring, now) = (simple(), UnixTime(5000));
    let id = SandboxId::new("sandbox-1").unwrap();
    let minted = keyring.mint(&SandboxGrant::bootstrap(id, BootstrapMethod::TokenFile, now), now).unwrap();
    assert_eq!(minted.kid, kid(1));
    assert_eq!(minted.expires_at, Some(UnixTime(8600)));
    let Verdict::Accepted(accepted) = keyring.verify(minted.token.expose().as_bytes(), now) else {
        panic!("a fresh token is refused");
    };
    assert_eq!(accepted.claims.sandbox_id.as_str(), "sandbox-1");
    assert_eq!(accepted.claims.lineage.method, BootstrapMethod::TokenFile);
    assert_eq!(accepted.claims.lineage.began, now);
    assert_eq!(accepted.state, KeyState::Active);
}
