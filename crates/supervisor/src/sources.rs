//! What the sources have to offer, and what of it was refused before.

use std::path::{Path, PathBuf};

use crate::config::Source;
use crate::failure::Failure;
use crate::files;
use crate::state::Remedy;
use crate::token::{MAX_TOKEN, Token};

/// A token file may have blanks around the token.
const MAX_FILE: usize = MAX_TOKEN + 256;

/// How many refused tokens are remembered.
const MAX_REFUSED: usize = 16;

/// What one source has to offer.
pub(crate) enum Offer {
    /// A sandbox token.
    Token(Token),
    /// The connection's client certificate.
    Certificate,
    /// A ServiceAccount token.
    ServiceAccount(Token),
}

/// The sources in their order.
pub(crate) struct Sources {
    list: Vec<Source>,
    files: Vec<Watched>,
    refused: Vec<Token>,
}

struct Watched {
    path: PathBuf,
    seen: Option<Token>,
}

impl Sources {
    pub(crate) fn new(list: Vec<Source>) -> Self {
        let files = list.iter().filter_map(|source| match source {
            Source::TokenFile(path) => Some(Watched { path: path.clone(), seen: None }),
            _ => None,
        });
        let files = files.collect();
        Self { list, files, refused: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// What the source at `index` offers now; `None` if that was refused before.
    pub(crate) async fn offer(&mut self, index: usize) -> Result<Option<Offer>, Failure> {
        let Some(source) = self.list.get(index) else { return Ok(None) };
        let offer = match source {
            Source::ClientCertificate => return Ok(Some(Offer::Certificate)),
            Source::ServiceAccount(path) => return Ok(Some(Offer::ServiceAccount(read(path).await?))),
            Source::Token(token) => token.clone(),
            Source::TokenFile(path) => {
                let token = read(path).await?;
                if let Some(file) = self.files.iter_mut().find(|file| file.path == *path) {
                    file.seen = Some(token.clone());
                }
                token
            }
        };
        Ok((!self.was_refused(&offer)).then_some(Offer::Token(offer)))
    }

    /// Whether there are files to look at.
    pub(crate) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// A token that appeared in a file since it was last read and was not refused before.
    pub(crate) async fn news(&mut self) -> Option<Token> {
        for file in &mut self.files {
            // An unreadable or empty file is one that is being written, or says nothing.
            let Ok(token) = read(&file.path).await else { continue };
            if file.seen.as_ref() == Some(&token) {
                continue;
            }
            file.seen = Some(token.clone());
            if !self.refused.contains(&token) {
                return Some(token);
            }
        }
        None
    }

    /// Notes that a gateway refused `token`.
    pub(crate) fn refuse(&mut self, token: &Token) {
        if self.was_refused(token) {
            return;
        }
        if self.refused.len() == MAX_REFUSED {
            self.refused.remove(0);
        }
        self.refused.push(token.clone());
    }

    pub(crate) fn was_refused(&self, token: &Token) -> bool {
        self.refused.contains(token)
    }

    /// Lets what was refused be tried once more: the gateway's keyring may have been mended.
    pub(crate) fn forgive(&mut self) {
        self.refused.clear();
    }

    /// What somebody can do when nothing here helps: for the first source that can be mended.
    pub(crate) fn remedy(&self) -> Remedy {
        let remedies = self.list.iter().map(|source| match source {
            Source::Token(_) => Remedy::GiveToken,
            Source::TokenFile(path) => Remedy::WriteTokenFile(path.clone()),
            Source::ClientCertificate => Remedy::FixClientCertificate,
            Source::ServiceAccount(path) => Remedy::FixServiceAccount(path.clone()),
        });
        // A value is the one source that cannot be mended while this runs.
        remedies.min_by_key(|remedy| *remedy == Remedy::GiveToken).unwrap_or(Remedy::GiveToken)
    }
}

async fn read(path: &Path) -> Result<Token, Failure> {
    let place = path.display().to_string();
    let text = files::read(path, MAX_FILE).await.map_err(|error| Failure::file(place.as_str(), &error))?;
    Token::new(&text).map_err(|error| Failure::file(place, &error))
}
