//! Which store, and who works on it.

use std::path::PathBuf;
use std::sync::Arc;

use keystile_operator::Operator;
use keystile_store::Store;
use keystile_system::Clock;

use crate::app::App;
use crate::failure::Failure;

/// Where a keyring and its witness are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The store's directory.
    pub directory: PathBuf,
    /// The witness; where the store puts it, if absent.
    pub witness: Option<PathBuf>,
}

/// Where the store is if nobody says.
const USUAL: &str = "keystile";

impl Place {
    /// The place that `named` names, or the usual one.
    pub(crate) fn named(named: Option<&str>) -> Result<Self, Failure> {
        Ok(Self { directory: directory(named.unwrap_or(USUAL))?, witness: None })
    }
}

impl App {
    /// The place that the command line or the environment names.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        let environment = &self.world.environment;
        let named = self.global.store.clone().or_else(|| environment.get("KEYSTILE_STORE"));
        let witness = self.global.witness.clone();
        let witness = witness.or_else(|| environment.get("KEYSTILE_WITNESS").map(PathBuf::from));
        Ok(Place { witness, ..Place::named(named.as_deref())? })
    }

    /// The store.
    pub(crate) fn store(&self) -> Result<Arc<dyn Store>, Failure> {
        self.open(&self.place()?, Arc::clone(&self.world.clock))
    }

    /// The store at `place`, by `clock`.
    pub(crate) fn open(&self, place: &Place, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, Failure> {
        let opened = (self.world.stores)(place, clock);
        opened.map_err(|error| Failure::usage(error.to_string()).because(std::error::Error::source(&error)))
    }

    /// Somebody who may change the keyring in the store.
    pub(crate) fn operator(&self) -> Result<Operator, Failure> {
        let (clock, entropy) = (Arc::clone(&self.world.clock), Arc::clone(&self.world.entropy));
        Ok(Operator::new(self.store()?, clock, entropy))
    }
}

/// `dir:PATH`, or a path.
fn directory(named: &str) -> Result<PathBuf, Failure> {
    let wrong =
        |found: String| Err(Failure::usage(found).expected("a directory: --store PATH, or --store dir:PATH"));
    match named.split_once(':') {
        _ if named.is_empty() => wrong("the store's name is empty".to_owned()),
        Some(("dir", "")) => wrong("\"dir:\" names no directory".to_owned()),
        Some(("dir", path)) => Ok(PathBuf::from(path)),
        Some((scheme, _)) if !scheme.contains('/') && !scheme.contains('.') => {
            wrong(format!("there is no store of the kind {scheme:?}"))
        }
        _ => Ok(PathBuf::from(named)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path() {
        for (named, path) in [("keys", "keys"), ("dir:keys", "keys"), ("/a:b", "/a:b"), ("dir:/a:b", "/a:b")]
        {
            assert_eq!(directory(named).expect(named), PathBuf::from(path));
        }
    }

    #[test]
    fn other_kinds_of_store_are_not_guessed_at() {
        for named in ["", "dir:", "secret:ns/name", "s3:bucket"] {
            assert_eq!(directory(named).expect_err(named).exit(), crate::Exit::Usage);
        }
    }
}
