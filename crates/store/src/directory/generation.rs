//! Reading: the link to the newest generation is resolved once, so all files are of one generation.

use zeroize::Zeroizing;

use super::Root;
use super::names::{self, DATA};
use super::occupancy;
use super::place::{Identity, Place};
use crate::image::{Members, Secrecy};
use crate::{FileError, Freshness, LoadError, Occupancy};

/// How often a read is begun anew because the generation was removed in the middle of it.
const TRIES: usize = 16;

/// The generation that the store's link led to at one moment.
pub(super) struct Generation {
    place: Place,
    identity: Identity,
    /// What a read of it is worth.
    pub(super) freshness: Freshness,
}

/// What the link leads to.
enum Newest {
    Is(Generation),
    /// There is no link.
    None,
    /// The link leads to nothing.
    Dangling(String),
}

impl Generation {
    /// The newest generation, without a look into it; `None` if there is none.
    pub(super) fn newest(root: &Place) -> Result<Option<Self>, FileError> {
        match newest(root)? {
            Newest::Is(generation) => Ok(Some(generation)),
            Newest::None | Newest::Dangling(_) => Ok(None),
        }
    }

    /// Its directory.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Its files.
    pub(super) fn files(&self) -> Files<'_> {
        Files { place: &self.place, follow: false }
    }

    /// Whether the store's link still leads to it.
    pub(super) fn is_newest(&self, root: &Place) -> Result<bool, FileError> {
        Ok(root.identity_of(DATA)? == Some(self.identity))
    }
}

fn newest(root: &Place) -> Result<Newest, FileError> {
    let place = match root.enter(DATA) {
        Ok(place) => place,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(root.link(DATA)?.map_or(Newest::None, Newest::Dangling));
        }
        Err(error) => return Err(error),
    };
    let identity = place.identity()?;
    let ours = root.link(DATA)?.is_some_and(|target| names::is_generation(&target));
    let freshness = if ours { Freshness::Confirmed } else { Freshness::Asserted };
    Ok(Newest::Is(Generation { place, identity, freshness }))
}

/// Files of a directory as members.
pub(super) struct Files<'a> {
    /// The directory.
    pub(super) place: &'a Place,
    /// Whether a member may be a link to a file.
    pub(super) follow: bool,
}

impl Members for Files<'_> {
    fn read(
        &self,
        name: &str,
        limit: usize,
        secrecy: Secrecy,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, LoadError> {
        /// Group members may read; anything more gives the key away, or lets it be replaced.
        const TOO_OPEN: u32 = 0o037;
        let Some(content) = self.place.read(name, limit, self.follow)? else {
            return Ok(None);
        };
        if secrecy == Secrecy::Private && content.mode & TOO_OPEN != 0 {
            return Err(LoadError::KeyFileMode { path: self.place.path().join(name), mode: content.mode });
        }
        if content.bytes.len() > limit {
            return Err(LoadError::TooLarge { place: self.place(name), limit });
        }
        Ok(Some(content.bytes))
    }

    fn place(&self, name: &str) -> String {
        self.place.path().join(name).display().to_string()
    }
}

/// Reads the newest generation by `read`, again where a writer removed it in the middle.
pub(super) fn consistently<T>(
    root: &Root,
    read: impl Fn(&Generation, &Place) -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    let mut dangling = None;
    for _ in 0..TRIES {
        let place = open(root)?;
        let generation = match newest(&place)? {
            Newest::Is(generation) => generation,
            Newest::None => return Err(nothing(&place)),
            Newest::Dangling(target) => {
                dangling = Some(target);
                continue;
            }
        };
        dangling = None;
        match read(&generation, &place) {
            Err(_) if !generation.is_newest(&place)? => {}
            outcome => return outcome,
        }
    }
    let place = root.path.display().to_string();
    Err(match dangling {
        Some(target) => {
            LoadError::Missing { place, found: format!("its link {DATA} leads to {target}, which is gone") }
        }
        None => LoadError::Torn { place, tries: TRIES },
    })
}

/// Opens the store's directory.
pub(super) fn open(root: &Root) -> Result<Place, LoadError> {
    root.open().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => LoadError::Missing {
            place: root.path.display().to_string(),
            found: "the directory does not exist".to_owned(),
        },
        _ => LoadError::Unreadable(error),
    })
}

/// Why there is no keyring.
fn nothing(place: &Place) -> LoadError {
    let shown = place.path().display().to_string();
    match occupancy::look(place) {
        Ok(Occupancy::OpenShellKeySet(_)) => LoadError::NotAdopted { place: shown },
        Ok(Occupancy::Remains(found)) => LoadError::Missing { place: shown, found },
        Ok(Occupancy::Empty | Occupancy::Keyring) => {
            LoadError::Missing { place: shown, found: "the directory is empty".to_owned() }
        }
        Err(crate::StoreError::Load(error)) => error,
        Err(error) => LoadError::Missing { place: shown, found: error.to_string() },
    }
}
