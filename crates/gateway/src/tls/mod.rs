//! TLS: certificates from files, read again when the files change.

mod client;
mod files;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;

use crate::config::{ClientCertificates, Config};

pub(crate) use client::{PeerCertificate, SandboxCertificate};
pub use files::TlsError;
pub(crate) use watch::keep_current;

/// Which files TLS is made of.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) client_certificates: ClientCertificates,
}

impl TlsFiles {
    /// The files that `config` names; `None` for plaintext.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        Some(Self {
            cert: config.tls_cert.clone()?,
            key: config.tls_key.clone()?,
            client_ca: config.tls_client_ca.clone(),
            client_certificates: config.client_certificates,
        })
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.cert, &self.key].into_iter().chain(&self.client_ca)
    }
}

/// The certificates in force. A handshake takes what is there when it begins.
pub(crate) struct Tls {
    files: TlsFiles,
    opened: files::Fingerprint,
    current: ArcSwap<ServerConfig>,
    /// Why the files as they are now are not in force, if they are not.
    trouble: ArcSwapOption<String>,
}

impl Tls {
    /// Reads the files for the first time.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = files::Contents::read(&files)?;
        let config = contents.server_config(files.client_certificates)?;
        let opened = contents.fingerprint();
        let (current, trouble) = (ArcSwap::from_pointee(config), ArcSwapOption::empty());
        Ok(Self { files, opened, current, trouble })
    }

    /// What is wrong with the files as they are now, if they are not in force.
    pub(crate) fn problem(&self) -> Option<String> {
        let why = self.why_stale()?;
        Some(format!("changed TLS files are not usable, and the certificates in force stay: {why}"))
    }

    /// Why the files as they are now are not in force, if they are not.
    pub(crate) fn why_stale(&self) -> Option<String> {
        Some(self.trouble.load_full()?.as_ref().clone())
    }

    /// What the next handshake uses.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}
