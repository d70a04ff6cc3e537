//! The promise of a rotation, with real signatures: what a replica within its bounds mints, every
//! replica within its bounds accepts until it expires (I3); and a key verifies nothing after its
//! window (I4).

use keystile_keyring::{Manifest, UnixTime};
use keystile_token::{BootstrapMethod, Keyring, Reason, SandboxGrant, SandboxId};
use proptest::prelude::*;

use crate::common::{key, kid, manifest, open, superseded};

const SWITCH: u64 = 10_000;
/// `max_staleness`, `max_skew` and `commit_delay` of the default policy.
const LAG: u64 = 300 + 30 + 60;

/// The keyring before a rotation at [`SWITCH`] was committed, and after.
fn generations() -> (Keyring, Keyring) {
    let before = manifest(vec![key(1), key(2)], &[(1000, 1)]);
    let mut after: Manifest = manifest(vec![key(1), key(2)], &[(1000, 1), (SWITCH, 2)]);
    after.keys[0].superseded = Some(superseded(SWITCH));
    (open(before), open(after))
}

fn mint(keyring: &Keyring, at: u64) -> String {
    let grant =
        SandboxGrant::bootstrap(SandboxId::new("s").unwrap(), BootstrapMethod::TokenFile, UnixTime(at));
    keyring.mint(&grant, UnixTime(at)).unwrap().token.expose().to_owned()
}

proptest! {
    #[test]
    fn i3_a_stale_replicas_token_is_accepted_until_it_expires(at in 5000..=SWITCH + LAG, later in 0_u64..=3660) {
        let (stale, current) = generations();
        let token = mint(&stale, at);
        prop_assert!(current.verify(token.as_bytes(), UnixTime(at + later)).is_accepted());
    }

    #[test]
    fn i3_a_current_replicas_token_is_accepted_by_any_clock_within_skew(
        at in SWITCH - 100..=SWITCH + 100,
        skew in 0_u64..=30,
        later in 0_u64..=3600,
    ) {
        let (_, current) = generations();
        let token = mint(&current, at);
        prop_assert!(current.verify(token.as_bytes(), UnixTime(at - skew)).is_accepted());
        prop_assert!(current.verify(token.as_bytes(), UnixTime(at + later)).is_accepted());
    }

    #[test]
    fn i4_a_key_verifies_nothing_after_its_window(at in 1000..=SWITCH + LAG, later in 1_u64..1 << 40) {
        let (stale, current) = generations();
        let end = superseded(SWITCH).accept_until.unwrap();
        let verdict = current.verify(mint(&stale, at).as_bytes(), end.plus(later));
        prop_assert_eq!(verdict.reason(), Some(Reason::RetiredKey));
        let never = current.jwk_set(end.plus(later)).keys.iter().all(|jwk| jwk.kid != kid(1).as_str());
        prop_assert!(never);
    }
}
