//! Which store, and who works on it.

use std::path::PathBuf;
use std::sync::Arc;

use keystile_kubernetes::ObjectName;
use keystile_operator::Operator;
use keystile_store::Store;
use keystile_system::Clock;

use crate::app::App;
use crate::failure::Failure;

/// Where a keyring and its witness are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a directory.
    Directory {
        /// Its path.
        path: PathBuf,
        /// The witness; where the store puts it, if absent.
        witness: Option<PathBuf>,
    },
    /// In a Secret of a Kubernetes cluster, with the witness in a second one.
    Secret {
        /// Its namespace and name.
        name: ObjectName,
        /// Whether only the witness is read: this process verifies and does no more.
        witness_only: bool,
    },
}

/// Where the store is if nobody says.
const USUAL: &str = "keystile";

impl Place {
    /// The place that `named` names, or the usual one, with its witness where `witness` says.
    pub(crate) fn named(named: Option<&str>, witness: Option<PathBuf>) -> Result<Self, Failure> {
        match (parse(named.unwrap_or(USUAL))?, witness) {
            (Self::Directory { path, .. }, witness) => Ok(Self::Directory { path, witness }),
            (Self::Secret { .. }, Some(witness)) => {
                let found =
                    format!("a witness file {} is given, and the store is a Secret", witness.display());
                Err(Failure::usage(found).expected("no witness: it is the Secret beside the store"))
            }
            (place, None) => Ok(place),
        }
    }
}

impl App {
    /// The place that the command line or the environment names.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        let environment = &self.world.environment;
        let named = self.global.store.clone().or_else(|| environment.get("KEYSTILE_STORE"));
        let witness = self.global.witness.clone();
        let witness = witness.or_else(|| environment.get("KEYSTILE_WITNESS").map(PathBuf::from));
        Place::named(named.as_deref(), witness)
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

/// `dir:PATH`, a path, or `k8s:NAMESPACE/NAME`.
fn parse(named: &str) -> Result<Place, Failure> {
    let wrong = |found: String| {
        let expected = "a directory: --store PATH or dir:PATH; or a Secret: --store k8s:NAMESPACE/NAME";
        Err(Failure::usage(found).expected(expected))
    };
    let directory = |path: &str| Ok(Place::Directory { path: PathBuf::from(path), witness: None });
    match named.split_once(':') {
        _ if named.is_empty() => wrong("the store's name is empty".to_owned()),
        Some(("dir", "")) => wrong("\"dir:\" names no directory".to_owned()),
        Some(("dir", path)) => directory(path),
        Some(("k8s", secret)) => match secret.split_once('/') {
            None => wrong(format!("{secret:?} names no namespace and Secret")),
            // The witness's name must be one too.
            Some((namespace, name)) => match ObjectName::new(namespace, name)
                .and_then(|it| ObjectName::new(namespace, it.beside("-witness").name()).map(|_| it))
            {
                Ok(name) => Ok(Place::Secret { name, witness_only: false }),
                Err(error) => wrong(error.to_string()),
            },
        },
        Some((scheme, _)) if !scheme.contains('/') && !scheme.contains('.') => {
            wrong(format!("there is no store of the kind {scheme:?}"))
        }
        _ => directory(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path() {
        for (named, path) in [("keys", "keys"), ("dir:keys", "keys"), ("/a:b", "/a:b"), ("dir:/a:b", "/a:b")]
        {
            let place = Place::Directory { path: PathBuf::from(path), witness: None };
            assert_eq!(Place::named(Some(named), None).expect(named), place);
        }
    }

    #[test]
    fn a_place_is_a_secret_whose_witness_is_another() {
        let name = ObjectName::new("openshell", "openshell-jwt-keys").expect("a name");
        let secret = Place::Secret { name, witness_only: false };
        let named = Some("k8s:openshell/openshell-jwt-keys");
        assert_eq!(Place::named(named, None).expect("a place"), secret);
        let error = Place::named(named, Some("witness.json".into())).expect_err("no file");
        assert_eq!(error.exit(), crate::Exit::Usage);
    }

    #[test]
    fn other_kinds_of_store_are_not_guessed_at() {
        for named in ["", "dir:", "secret:ns/name", "s3:bucket", "k8s:name", "k8s:/", "k8s:a/b/c", "k8s:a/.."]
        {
            assert_eq!(parse(named).expect_err(named).exit(), crate::Exit::Usage);
        }
        let long = |length| format!("k8s:ns/{}", "a".repeat(length));
        assert!(parse(&long(245)).is_ok());
        assert!(parse(&long(246)).is_err(), "no room for the witness's suffix");
    }
}
