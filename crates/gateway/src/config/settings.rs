//! The one table of settings. Flags, environment variables, TOML keys, help and the printed
//! configuration are all made from it.

use super::value::{Kind, Raw, Value};
use super::{ClientCertificates, Config, LogFormat, LogLevel};

/// One setting of `keystile serve`.
#[derive(Clone, Copy)]
pub struct Setting {
    /// Its name, which is also its TOML key.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// Not shown in help: for rehearsals.
    pub hidden: bool,
    /// Least and greatest value, where there is such a range: milliseconds of a duration, bytes, or a number.
    pub range: Option<(u64, u64)>,
    set: fn(&mut Config, &Raw) -> Option<Option<u64>>,
    show: fn(&Config) -> Option<String>,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Setting {
    /// The environment variable: `KEYSTILE_` and the name in capitals.
    pub fn variable(&self) -> String {
        format!("{}{}", super::PREFIX, self.name.to_ascii_uppercase())
    }

    /// The long flag, without the dashes before it.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The default as TOML; `None` if it is not set by default.
    pub fn default(&self) -> Option<String> {
        self.show(&Config::default())
    }

    /// The value in `config` as TOML; `None` if it is not set.
    pub fn show(&self, config: &Config) -> Option<String> {
        (self.show)(config)
    }

    /// Reads `raw` into `config`; if it cannot be, says what was expected.
    pub(super) fn set(&self, config: &mut Config, raw: &Raw) -> Result<(), String> {
        let measure = (self.set)(config, raw).ok_or_else(|| self.kind.expects())?;
        match (measure, self.range) {
            (Some(found), Some((least, greatest))) if !(least..=greatest).contains(&found) => {
                let unit = if self.kind == Kind::Duration { " ms" } else { "" };
                Err(format!("{least} to {greatest}{unit}"))
            }
            _ => Ok(()),
        }
    }

    /// The setting of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    const fn within(mut self, least: u64, greatest: u64) -> Self {
        self.range = Some((least, greatest));
        self
    }
}

macro_rules! setting {
    ($name:ident: $kind:expr, $meaning:literal) => {
        setting!($name at $name: $kind, $meaning)
    };
    ($name:ident at $($path:ident).+: $kind:expr, $meaning:literal) => {
        Setting {
            name: stringify!($name),
            kind: $kind,
            meaning: $meaning,
            hidden: false,
            range: None,
            set: |config, raw| {
                let value = Value::parse(raw)?;
                config.$($path).+ = value;
                Some(Value::measure(&config.$($path).+))
            },
            show: |config| Value::show(&config.$($path).+),
        }
    };
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    setting!(store: Kind::Text, "where the keyring lives: dir:PATH or a path, or k8s:NAMESPACE/NAME for a Secret"),
    setting!(witness: Kind::Path, "where the witness is kept; default: beside the store"),
    setting!(verify_only: Kind::Switch, "verify and publish, mint nothing; no private key is read"),
    setting!(replica: Kind::Text, "the name this process reports under; default: host, process id and a random part"),
    setting!(listen: Kind::Address, "address and port of gRPC and HTTP; port 0 lets the system choose"),
    setting!(admin_listen: Kind::Address, "address and port of /metrics and /status"),
    setting!(admin_beyond_loopback: Kind::Switch, "let the admin listener be reached from other machines"),
    setting!(insecure_plaintext: Kind::Switch, "serve without TLS on an address that other machines reach"),
    setting!(tls_cert: Kind::Path, "PEM file with the certificate chain; read again when it changes"),
    setting!(tls_key: Kind::Path, "PEM file with the certificate's private key"),
    setting!(tls_client_ca: Kind::Path, "PEM file with the authorities that client certificates are checked against"),
    setting!(client_certificates: Kind::Word(ClientCertificates::WORDS), "whether a client must present a certificate"),
    setting!(certificate_bootstrap: Kind::Switch, "let a client certificate that names a sandbox obtain its first token"),
    setting!(service_account_bootstrap: Kind::Switch, "let a pod's ServiceAccount token, checked by the Kubernetes API, obtain its sandbox's first token"),
    setting!(bootstrap_namespaces at bootstrap.namespaces: Kind::Names, "namespaces of the pods that may do so; a trailing * stands for any rest"),
    setting!(bootstrap_service_accounts at bootstrap.service_accounts: Kind::Names, "ServiceAccounts that such a pod may run as"),
    setting!(bootstrap_audience at bootstrap.audience: Kind::Text, "the audience that such a token must be for"),
    setting!(bootstrap_plain_pods at bootstrap.plain_pods: Kind::Switch, "let pods do so that no Sandbox object controls"),
    setting!(bootstrap_rate at bootstrap.rate: Kind::Number, "the most bootstraps a second that the Kubernetes API is asked about; others are told when to come again")
        .within(1, 10_000),
    setting!(bootstrap_concurrency at bootstrap.concurrency: Kind::Number, "the most bootstraps that the Kubernetes API is asked about at a time")
        .within(1, 1000),
    setting!(extension_services: Kind::Pairs, "extension services that credentials are minted for, each with its audience"),
    setting!(max_connections at limits.connections: Kind::Number, "the most connections at a time").within(1, 1_000_000),
    setting!(max_connections_per_address at limits.connections_per_address: Kind::Number, "the most connections of one IPv4 address or IPv6 /64 at a time; 0: no such limit, as behind a proxy; default: a quarter of max_connections")
        .within(0, 1_000_000),
    setting!(max_requests at limits.requests: Kind::Number, "the most requests worked on at a time").within(1, 1_000_000),
    setting!(max_streams at limits.streams: Kind::Number, "the most HTTP/2 streams of one connection").within(1, 65_535),
    setting!(max_header_bytes at limits.header_bytes: Kind::Bytes, "the most bytes of a request's headers")
        .within(8192, 1024 * 1024),
    setting!(max_body_bytes at limits.body_bytes: Kind::Bytes, "the most bytes of a request's body")
        .within(1024, 16 * 1024 * 1024),
    setting!(remembered_signatures at limits.remembered_signatures: Kind::Bytes, "the most bytes of tokens whose good signatures are remembered; 0 remembers none")
        .within(0, 2 * 1024 * 1024 * 1024),
    setting!(request_timeout at limits.request_timeout: Kind::Duration, "the most time for one request")
        .within(10, 600_000),
    setting!(handshake_timeout at limits.handshake_timeout: Kind::Duration, "the most time for a TLS handshake and first bytes")
        .within(10, 600_000),
    setting!(idle_timeout at limits.idle_timeout: Kind::Duration, "how long an unanswering or idle connection is kept")
        .within(100, 86_400_000),
    setting!(report_interval: Kind::Duration, "how often this replica reports to the store").within(100, 60_000),
    setting!(shutdown_grace: Kind::Duration, "how long requests in flight may take to end at shutdown")
        .within(0, 3_600_000),
    setting!(log_level: Kind::Word(LogLevel::WORDS), "the least severe level that is logged"),
    setting!(log_format: Kind::Word(LogFormat::WORDS), "how log lines are written"),
    setting!(clock_shift: Kind::Number, "seconds by which this process's clock is put forward; for rehearsals").hidden(),
];
