//! Kids on the command line: whole, or as a prefix that tells them apart.

use keystile_keyring::{Code, Kid, Manifest, Refusal};

use crate::failure::Failure;

/// A shorter prefix is a guess.
const FEWEST: usize = 4;

/// The key of `manifest` that `given` names: a whole kid, or its only match as a prefix.
pub(crate) fn resolve(manifest: &Manifest, given: &str) -> Result<Kid, Failure> {
    let held = manifest.keys.iter().map(|key| &key.kid);
    let gone = manifest.tombstones.iter().map(|stone| &stone.kid);
    if let Some(kid) = held.clone().chain(gone.clone()).find(|kid| kid.as_str() == given) {
        return Ok(kid.clone());
    }
    if given.len() < FEWEST {
        return Err(Failure::usage(format!("{given:?} is too short to name a key"))
            .expected(format!("a kid, or at least {FEWEST} characters of its beginning")));
    }
    let matches: Vec<&Kid> = held.chain(gone).filter(|kid| kid.as_str().starts_with(given)).collect();
    match matches.as_slice() {
        [kid] => Ok((*kid).clone()),
        [] => Err(Refusal::new(
            Code::UnknownKey,
            format!("no key of keyring {} begins with {given:?}", manifest.gateway_id),
            "look at the keys: keystile status",
        )
        .into()),
        several => {
            let names: Vec<&str> = several.iter().map(|kid| kid.as_str()).collect();
            Err(Failure::usage(format!("{given:?} is the beginning of {} kids", names.len()))
                .expected(format!("enough of one: {}", names.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use keystile_keyring::manifest::{End, Origin, Tombstone};
    use keystile_keyring::plan::{Candidate, init};
    use keystile_keyring::{GatewayId, Policy, PublicKey, UnixTime};

    use super::*;
    use crate::exit::Exit;

    fn manifest() -> Manifest {
        let kid = Kid::new("8b98b466aaaa").expect("a kid");
        let candidate = Candidate { kid, public_key: PublicKey([1; 32]), origin: Origin::Generated };
        let id = GatewayId::new("openshell").expect("an id");
        let plan = init(id, Policy::default(), &candidate, "tester", UnixTime(1)).expect("a plan");
        let mut manifest = plan.next;
        let gone = ["8b98ffff", "dead0000"].map(|kid| Tombstone {
            kid: Kid::new(kid).expect("a kid"),
            end: End::Retired,
            at: UnixTime(1),
            named_until: None,
        });
        manifest.tombstones.extend(gone);
        manifest
    }

    #[test]
    fn a_prefix_that_is_unique_names_its_key() {
        assert_eq!(resolve(&manifest(), "8b98b").expect("unique").as_str(), "8b98b466aaaa");
        assert_eq!(resolve(&manifest(), "dead").expect("unique").as_str(), "dead0000");
        assert_eq!(resolve(&manifest(), "8b98ffff").expect("whole").as_str(), "8b98ffff");
    }

    #[test]
    fn an_ambiguous_prefix_lists_the_candidates() {
        let failure = resolve(&manifest(), "8b98").expect_err("ambiguous");
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.text().contains("8b98b466aaaa, 8b98ffff"), "{}", failure.text());
    }

    #[test]
    fn what_names_no_key_is_refused() {
        assert_eq!(resolve(&manifest(), "8b9").expect_err("short").exit(), Exit::Usage);
        assert_eq!(resolve(&manifest(), "ffff").expect_err("unknown").exit(), Exit::Refused);
    }
}
