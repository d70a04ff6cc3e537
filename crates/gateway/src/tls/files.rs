//! From PEM files to what rustls serves with.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystile_keyring::Digest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::TlsFiles;
use crate::config::ClientCertificates;

/// The greatest size of a PEM file, bytes.
const FILE_BYTES: u64 = 1024 * 1024;

/// Why TLS cannot be served from the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("the TLS file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is larger than any that is expected.
    #[error("the TLS file {} has more than {FILE_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A file holds something else than it should.
    #[error("the TLS file {} holds no {expected} in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// The certificate and the key do not go together, or are not usable.
    #[error("the TLS certificate and key are not usable together")]
    Certificate(#[source] rustls::Error),
    /// The authorities of client certificates are not usable.
    #[error("the authorities for client certificates are not usable")]
    ClientCa(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What tells the files' contents at one moment from those at another.
pub(super) type Fingerprint = Vec<Digest>;

/// The files' bytes at one moment.
pub(super) struct Contents {
    files: Vec<(PathBuf, zeroize::Zeroizing<Vec<u8>>)>,
}

impl Contents {
    /// Reads every file, bounded.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |path: &PathBuf| Ok((path.clone(), read(path)?));
        Ok(Self { files: files.paths().map(read).collect::<Result<_, TlsError>>()? })
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.files.iter().map(|(_, bytes)| keystile_token::digest(bytes)).collect()
    }

    /// What rustls serves with: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub(super) fn server_config(&self, demand: ClientCertificates) -> Result<ServerConfig, TlsError> {
        let mut files = self.files.iter();
        let chain = files.next().map(certificates).transpose()?.unwrap_or_default();
        let key = files.next().map(private_key).transpose()?;
        let client_ca = files.next().map(certificates).transpose()?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Certificate)?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in authorities {
                    roots.add(authority).map_err(|error| TlsError::ClientCa(Box::new(error)))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match demand {
                    ClientCertificates::Required => verifier,
                    ClientCertificates::Optional => verifier.allow_unauthenticated(),
                };
                let verifier = verifier.build().map_err(|error| TlsError::ClientCa(Box::new(error)))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = key.ok_or(TlsError::Certificate(rustls::Error::NoCertificatesPresented))?;
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Certificate)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(TlsError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

fn certificates(
    (path, bytes): &(PathBuf, zeroize::Zeroizing<Vec<u8>>),
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = || TlsError::Pem { path: path.clone(), expected: "certificate" };
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(bytes).collect::<Result<_, _>>().map_err(|_| wrong())?;
    if found.is_empty() { Err(wrong()) } else { Ok(found) }
}

fn private_key(
    (path, bytes): &(PathBuf, zeroize::Zeroizing<Vec<u8>>),
) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(bytes)
        .map_err(|_| TlsError::Pem { path: path.clone(), expected: "private key" })
}
