//! What is found where a keyring is to be created.

use keystile_store::parts::{kid_only, partial};
use keystile_store::{Occupancy, StoreError, members};

use crate::secret::{Found, place};
use crate::{Root, leases, witness};

/// What is found in the Secret, beside it, and among the Leases.
pub(crate) async fn occupancy(root: &Root, found: Option<&Found>) -> Result<Occupancy, StoreError> {
    if found.is_some_and(|found| found.members.members.contains_key(members::MANIFEST)) {
        return Ok(Occupancy::Keyring);
    }
    let remembered = match witness::read(root).await {
        Ok(remembered) => remembered.map(|witness| format!("generation {}", witness.manifest.generation)),
        Err(StoreError::WitnessGarbage { .. } | StoreError::Load(_)) => {
            Some("something unreadable".to_owned())
        }
        Err(error) => return Err(error),
    };
    if let Some(what) = remembered {
        let what = format!("no keyring, but its witness {} remembers {what}", place(&root.witness));
        return Ok(Occupancy::Remains(what));
    }
    if leases::any(root).await? {
        return Ok(Occupancy::Remains(
            "reports of replicas that ran here (Leases with the label keystile/store)".to_owned(),
        ));
    }
    Ok(found.map_or(Occupancy::Empty, plain))
}

fn plain(found: &Found) -> Occupancy {
    let files = &found.members;
    let stray = files.members.keys().find(|name| members::is_private_key(name));
    if let Some(stray) = stray {
        return Occupancy::Remains(format!("a member {stray}, and no {}", members::MANIFEST));
    }
    match members::MIRROR.map(|name| files.members.contains_key(name)) {
        [false, false, false] => Occupancy::Empty,
        [true, true, true] => kid_only(files).map_or_else(
            |error| Occupancy::Remains(format!("a key set whose kid is unusable: {error}")),
            Occupancy::OpenShellKeySet,
        ),
        there => Occupancy::Remains(partial(there)),
    }
}
