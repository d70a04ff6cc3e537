//! Configuration of `keystile serve`: one table of [settings](SETTINGS), four places where a value may come from.
//!
//! A flag wins over an environment variable, that over the one TOML file, that over the default. A
//! name that no setting has is refused wherever it stands, with the nearest name.

mod error;
mod print;
mod settings;
mod source;
mod value;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use keystile_keyring::ReplicaId;

pub use error::ConfigError;
pub use print::{Loaded, SettingDocument};
pub use settings::{SETTINGS, Setting};
pub use source::{Origin, Sources};
pub use value::{ByteCount, Kind};

/// What every environment variable of Keystile begins with.
pub const PREFIX: &str = "KEYSTILE_";

value::words! {
    /// Whether clients must present a certificate, where `tls_client_ca` is set.
    ClientCertificates {
        /// A client may present one.
        Optional = "optional",
        /// A client without one is refused in the handshake.
        Required = "required",
    }
}

value::words! {
    /// The least severe level that is logged.
    LogLevel {
        /// Only what somebody must look at.
        Error = "error",
        /// And what somebody should.
        Warn = "warn",
        /// And what happened.
        Info = "info",
        /// And why.
        Debug = "debug",
        /// And how.
        Trace = "trace",
    }
}

value::words! {
    /// How log lines are written.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

/// The settings of one gateway process. What they mean is in [`SETTINGS`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is documented once, in the table of settings")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Config {
    pub store: Option<String>,
    pub witness: Option<PathBuf>,
    pub verify_only: bool,
    pub replica: Option<ReplicaId>,
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub admin_beyond_loopback: bool,
    pub insecure_plaintext: bool,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub tls_client_ca: Option<PathBuf>,
    pub client_certificates: ClientCertificates,
    pub certificate_bootstrap: bool,
    pub service_account_bootstrap: bool,
    pub bootstrap: Bootstrap,
    pub extension_services: BTreeMap<String, String>,
    pub limits: Limits,
    pub report_interval: Duration,
    pub shutdown_grace: Duration,
    pub log_level: LogLevel,
    pub log_format: LogFormat,
    pub clock_shift: i64,
}

/// Which pods may bootstrap with their ServiceAccount tokens, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is documented once, in the table of settings")]
pub struct Bootstrap {
    pub namespaces: Vec<String>,
    pub service_accounts: Vec<String>,
    pub audience: String,
    pub plain_pods: bool,
    pub rate: u32,
    pub concurrency: u32,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            service_accounts: Vec::new(),
            audience: "openshell-gateway".to_owned(),
            plain_pods: false,
            rate: 50,
            concurrency: 16,
        }
    }
}

/// Limits on what comes from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is documented once, in the table of settings")]
pub struct Limits {
    pub connections: u32,
    pub connections_per_address: Option<u32>,
    pub requests: u32,
    pub streams: u32,
    pub header_bytes: ByteCount,
    pub body_bytes: ByteCount,
    pub remembered_signatures: ByteCount,
    pub request_timeout: Duration,
    pub handshake_timeout: Duration,
    pub idle_timeout: Duration,
}

impl Limits {
    /// The most connections of one address; 0 is no limit.
    pub(crate) fn per_address(&self) -> u32 {
        self.connections_per_address.unwrap_or_else(|| self.connections.div_ceil(4))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            connections_per_address: None,
            requests: 2048,
            streams: 256,
            header_bytes: ByteCount(32 * 1024),
            body_bytes: ByteCount(64 * 1024),
            remembered_signatures: ByteCount(64 * 1024 * 1024),
            request_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(2),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: None,
            witness: None,
            verify_only: false,
            replica: None,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 17670)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 17671)),
            admin_beyond_loopback: false,
            insecure_plaintext: false,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            client_certificates: ClientCertificates::Optional,
            certificate_bootstrap: false,
            service_account_bootstrap: false,
            bootstrap: Bootstrap::default(),
            extension_services: BTreeMap::new(),
            limits: Limits::default(),
            report_interval: Duration::from_secs(2),
            shutdown_grace: Duration::from_secs(10),
            log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            clock_shift: 0,
        }
    }
}

impl Config {
    /// Gathers the settings from flags, environment, file and defaults, and checks them together.
    pub fn load(sources: &Sources<'_>) -> Result<Loaded, ConfigError> {
        let mut config = Self::default();
        let mut origins = BTreeMap::new();
        for (setting, raw, origin) in source::gather(sources)? {
            setting.set(&mut config, &raw).map_err(|expected| ConfigError::Value {
                origin: origin.clone(),
                name: setting.name,
                found: raw.excerpt(),
                expected,
            })?;
            origins.insert(setting.name, origin);
        }
        config.check()?;
        Ok(Loaded::new(config, origins))
    }

    /// Whether the settings agree with each other.
    pub fn check(&self) -> Result<(), ConfigError> {
        let contradiction = |found: String, remedy| Err(ConfigError::Contradiction { found, remedy });
        let tls = self.tls_cert.is_some();
        if tls != self.tls_key.is_some() {
            return contradiction(
                "one of tls_cert and tls_key is set without the other".into(),
                "set both for TLS, or neither for plaintext on loopback",
            );
        }
        if !tls && !self.listen.ip().is_loopback() && !self.insecure_plaintext {
            return contradiction(
                format!("without TLS, {} would carry tokens in plaintext to other machines", self.listen),
                "set tls_cert and tls_key, listen on loopback, or set insecure_plaintext",
            );
        }
        if !self.admin_listen.ip().is_loopback() && !self.admin_beyond_loopback {
            return contradiction(
                format!("{} would show the admin listener to other machines", self.admin_listen),
                "listen on loopback, or set admin_beyond_loopback",
            );
        }
        if self.listen == self.admin_listen && self.listen.port() != 0 {
            return contradiction(
                format!("listen and admin_listen are both {}", self.listen),
                "give each its own port",
            );
        }
        self.check_client_certificates()?;
        self.check_service_accounts()
    }

    fn check_service_accounts(&self) -> Result<(), ConfigError> {
        let contradiction =
            |found: &str, remedy| Err(ConfigError::Contradiction { found: found.into(), remedy });
        if !self.service_account_bootstrap {
            return Ok(());
        }
        if self.verify_only {
            return contradiction(
                "service_account_bootstrap is on and verify_only mints nothing",
                "set one of them only",
            );
        }
        if self.bootstrap.namespaces.is_empty() || self.bootstrap.service_accounts.is_empty() {
            return contradiction(
                "service_account_bootstrap is on, and not both of bootstrap_namespaces and \
                 bootstrap_service_accounts are set",
                "name the sandboxes' namespaces and the ServiceAccount that they run as",
            );
        }
        Ok(())
    }

    fn check_client_certificates(&self) -> Result<(), ConfigError> {
        let contradiction =
            |found: &str, remedy| Err(ConfigError::Contradiction { found: found.into(), remedy });
        let client_ca = self.tls_client_ca.is_some();
        if client_ca && self.tls_cert.is_none() {
            return contradiction(
                "tls_client_ca is set without tls_cert",
                "set tls_cert and tls_key as well",
            );
        }
        if !client_ca && self.client_certificates == ClientCertificates::Required {
            return contradiction(
                "client certificates are required and there is no tls_client_ca",
                "set tls_client_ca",
            );
        }
        if self.certificate_bootstrap && !client_ca {
            return contradiction(
                "certificate_bootstrap is on and there is no tls_client_ca",
                "set tls_client_ca to the authority that issues the sandboxes' certificates",
            );
        }
        if self.certificate_bootstrap && self.verify_only {
            return contradiction(
                "certificate_bootstrap is on and verify_only mints nothing",
                "set one of them only",
            );
        }
        Ok(())
    }

    /// `https` with TLS, else `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls_cert.is_some() { "https" } else { "http" }
    }
}

#[cfg(test)]
mod tests;
