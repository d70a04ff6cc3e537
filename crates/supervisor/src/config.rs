//! What a supervisor is told at its start.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::endpoint::{Endpoint, EndpointError};
use crate::token::Token;

/// Everything a supervisor needs to know.
#[derive(Debug)]
pub struct Config {
    /// The gateways to ask. It begins at a random one, stays with one that answers, and goes to the next
    /// where one does not.
    pub endpoints: Vec<Endpoint>,
    /// Where a token may come from, in order: the first that has one is used. The others remain as ways
    /// back when that token is refused.
    pub sources: Vec<Source>,
    /// Certificates for `https` endpoints.
    pub tls: Option<Tls>,
    /// Permits `http` to an endpoint that is not on this machine. Tokens then cross the network in clear.
    pub allow_plaintext: bool,
    /// Where to keep the current token for programs that read a file.
    pub output: Option<Output>,
    /// When things happen.
    pub timing: Timing,
}

/// Where a token may come from.
#[derive(Clone)]
pub enum Source {
    /// A token that was given by value. It can be used until it is refused, once.
    Token(Token),
    /// A file with a token. It is read again whenever its content changes.
    TokenFile(PathBuf),
    /// The client certificate of [`Tls`]: the gateway issues a token for the sandbox that it names.
    ClientCertificate,
    /// A file with a ServiceAccount token, for which the gateway issues a sandbox token. Read anew each time.
    ServiceAccount(PathBuf),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(..)"),
            Self::TokenFile(path) => f.debug_tuple("TokenFile").field(path).finish(),
            Self::ClientCertificate => f.write_str("ClientCertificate"),
            Self::ServiceAccount(path) => f.debug_tuple("ServiceAccount").field(path).finish(),
        }
    }
}

/// PEM files for TLS. They are read for every connection, so a renewed certificate needs no restart.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The authorities that a gateway's certificate must come from.
    pub ca: PathBuf,
    /// Certificate chain and private key to present, if the gateway asks for one.
    pub identity: Option<Identity>,
    /// The name that the gateway's certificate must have, where it is not the endpoint's host.
    pub server_name: Option<String>,
}

/// A client certificate and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The file that always holds the current token and a newline.
#[derive(Clone, Debug)]
pub struct Output {
    /// Replaced whole at every renewal, mode 0600. It may be the file that the token came from: a restart
    /// then begins with a fresh token.
    pub path: PathBuf,
    /// Removes the file when the supervisor stops.
    pub remove_at_stop: bool,
}

/// When things happen. Every duration may be scaled down together: see [`Timing::scaled`].
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// A token is renewed when at least this share of its life has passed …
    pub renew_from: f64,
    /// … and at most this share: a uniformly random point between the two.
    pub renew_to: f64,
    /// The longest time between two renewals, which counts for tokens that never expire: a random point of
    /// its last quarter.
    pub longest_interval: Duration,
    /// A token from a value or a file is exchanged for a fresh one within this time, at random: its key may
    /// be about to retire.
    pub start_spread: Duration,
    /// After a call was answered UNAUTHENTICATED, renewal begins within this time, at random.
    pub rejection_spread: Duration,
    /// The shortest time between two renewals that rejected calls forced. It doubles, up to 32 times, while
    /// fresh tokens go on being rejected.
    pub rejection_interval: Duration,
    /// The shortest wait after a failure.
    pub backoff_first: Duration,
    /// The longest wait after a failure.
    pub backoff_max: Duration,
    /// The longest wait between two attempts with what the gateway has refused.
    pub stranded_max: Duration,
    /// How long one call may take. While there are more gateways to ask, a renewal's takes at most half of what
    /// is left of the token's life, and a quarter of this at least.
    pub attempt_timeout: Duration,
    /// The longest hint of a gateway (`retry-after-ms`) that is followed.
    pub hint_max: Duration,
    /// How often a token file is looked at, and an output file that could not be written is tried again.
    pub file_poll: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            renew_from: 0.60,
            renew_to: 0.85,
            longest_interval: Duration::from_hours(6),
            start_spread: Duration::from_secs(10),
            rejection_spread: Duration::from_millis(500),
            rejection_interval: Duration::from_secs(1),
            backoff_first: Duration::from_millis(200),
            backoff_max: Duration::from_secs(10),
            stranded_max: Duration::from_mins(5),
            attempt_timeout: Duration::from_secs(10),
            hint_max: Duration::from_mins(1),
            file_poll: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// The same with every duration times `factor`, none below a millisecond: for rehearsals in which tokens
    /// live shorter. A factor that is not a finite number above 0 changes nothing.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        if !(factor.is_finite() && factor > 0.0) {
            return self.clone();
        }
        let scale = |duration: Duration| {
            Duration::try_from_secs_f64(duration.as_secs_f64() * factor)
                .unwrap_or(Duration::MAX)
                .max(Duration::from_millis(1))
        };
        Self {
            renew_from: self.renew_from,
            renew_to: self.renew_to,
            longest_interval: scale(self.longest_interval),
            start_spread: scale(self.start_spread),
            rejection_spread: scale(self.rejection_spread),
            rejection_interval: scale(self.rejection_interval),
            backoff_first: scale(self.backoff_first),
            backoff_max: scale(self.backoff_max),
            stranded_max: scale(self.stranded_max),
            attempt_timeout: scale(self.attempt_timeout),
            hint_max: scale(self.hint_max),
            file_poll: scale(self.file_poll),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        if !(0.0 <= self.renew_from && self.renew_from <= self.renew_to && self.renew_to <= 1.0) {
            return Err(ConfigError::RenewalWindow { from: self.renew_from, to: self.renew_to });
        }
        let zero_would_spin = [
            ("longest_interval", self.longest_interval),
            ("rejection_interval", self.rejection_interval),
            ("backoff_first", self.backoff_first),
            ("backoff_max", self.backoff_max),
            ("stranded_max", self.stranded_max),
            ("attempt_timeout", self.attempt_timeout),
            ("file_poll", self.file_poll),
        ];
        let may_be_zero = [
            ("start_spread", self.start_spread),
            ("rejection_spread", self.rejection_spread),
            ("hint_max", self.hint_max),
        ];
        if let Some((name, _)) = zero_would_spin.iter().find(|(_, duration)| duration.is_zero()) {
            return Err(ConfigError::ZeroDuration { name });
        }
        let mut all = zero_would_spin.iter().chain(&may_be_zero);
        match all.find(|(_, duration)| *duration > LONGEST) {
            Some((name, _)) => Err(ConfigError::LongDuration { name }),
            None => Ok(()),
        }
    }
}

/// The longest duration that is taken: no sum of a few of them overflows a clock.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// Why a supervisor cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nothing to ask.
    #[error("no gateway is named; give at least one URL")]
    NoEndpoint,
    /// Nowhere to get a token from.
    #[error(
        "no source of a token is named; give a token, a token file, a client certificate or a ServiceAccount \
         token file"
    )]
    NoSource,
    /// An endpoint that cannot or must not be used as configured.
    #[error("the gateway {endpoint} cannot be used")]
    Endpoint {
        /// Its name.
        endpoint: String,
        /// Why.
        source: EndpointError,
    },
    /// Bootstrap by certificate without one.
    #[error("the source is the client certificate, but none is configured; give certificate and key")]
    NoIdentity,
    /// The renewal window is no part of a life.
    #[error("the renewal window is {from} to {to} of a token's life; expected 0 <= from <= to <= 1")]
    RenewalWindow {
        /// Its beginning.
        from: f64,
        /// Its end.
        to: f64,
    },
    /// A duration beyond any use.
    #[error("{name} is longer than 366 days")]
    LongDuration {
        /// Which one.
        name: &'static str,
    },
    /// A duration that would make a busy loop.
    #[error("{name} is 0; expected a positive duration")]
    ZeroDuration {
        /// Which one.
        name: &'static str,
    },
}

impl Config {
    /// Checks what can be checked without the network.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.endpoints.is_empty() {
            return Err(ConfigError::NoEndpoint);
        }
        if self.sources.is_empty() {
            return Err(ConfigError::NoSource);
        }
        for endpoint in &self.endpoints {
            endpoint
                .check(self.tls.is_some(), self.allow_plaintext)
                .map_err(|source| ConfigError::Endpoint { endpoint: endpoint.name().to_owned(), source })?;
        }
        let by_certificate = self.sources.iter().any(|source| matches!(source, Source::ClientCertificate));
        let has_identity = self.tls.as_ref().is_some_and(|tls| tls.identity.is_some());
        let via_channel = self.endpoints.iter().any(Endpoint::is_channel);
        if by_certificate && !has_identity && !via_channel {
            return Err(ConfigError::NoIdentity);
        }
        self.timing.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, source: Source) -> Config {
        Config {
            endpoints: vec![Endpoint::url(url).unwrap()],
            sources: vec![source],
            tls: None,
            allow_plaintext: false,
            output: None,
            timing: Timing::default(),
        }
    }

    fn with_timing(change: impl FnOnce(&mut Timing)) -> Result<(), ConfigError> {
        let mut config = config("http://127.0.0.1:1", Source::TokenFile("token".into()));
        change(&mut config.timing);
        config.check()
    }

    #[test]
    fn a_configuration_must_name_a_gateway_and_a_source() {
        let good = config("http://127.0.0.1:1", Source::TokenFile("token".into()));
        assert!(good.check().is_ok());
        assert!(matches!(Config { endpoints: vec![], ..good }.check(), Err(ConfigError::NoEndpoint)));
        let good = config("http://127.0.0.1:1", Source::TokenFile("token".into()));
        assert!(matches!(Config { sources: vec![], ..good }.check(), Err(ConfigError::NoSource)));
        let bad = config("http://gw.example.org", Source::TokenFile("token".into()));
        assert!(matches!(bad.check(), Err(ConfigError::Endpoint { source: EndpointError::Plaintext, .. })));
        let bad = config("http://127.0.0.1:1", Source::ClientCertificate);
        assert!(matches!(bad.check(), Err(ConfigError::NoIdentity)));
    }

    #[test]
    fn timing_must_make_sense() {
        assert!(with_timing(|_| {}).is_ok());
        assert!(with_timing(|timing| timing.start_spread = Duration::ZERO).is_ok());
        let zero = with_timing(|timing| timing.backoff_first = Duration::ZERO);
        assert!(matches!(zero, Err(ConfigError::ZeroDuration { name: "backoff_first" })));
        let long = with_timing(|timing| timing.hint_max = Duration::MAX);
        assert!(matches!(long, Err(ConfigError::LongDuration { name: "hint_max" })));
        for (from, to) in [(0.9, 0.8), (-0.1, 0.5), (0.5, 1.1), (f64::NAN, 0.9), (0.1, f64::NAN)] {
            let window = with_timing(|timing| (timing.renew_from, timing.renew_to) = (from, to));
            assert!(matches!(window, Err(ConfigError::RenewalWindow { .. })), "{from} {to}");
        }
    }

    #[test]
    fn timing_is_scaled_as_a_whole() {
        let timing = Timing::default().scaled(0.001);
        assert_eq!(timing.longest_interval, Duration::from_millis(21_600));
        assert_eq!(timing.backoff_max, Duration::from_millis(10));
        assert_eq!(timing.backoff_first, Duration::from_millis(1), "never below a millisecond");
        assert_eq!((timing.renew_from, timing.renew_to), (0.60, 0.85));
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Timing::default().scaled(odd), Timing::default());
        }
    }

    #[test]
    fn t48_a_configuration_prints_no_token() {
        let config = config("http://127.0.0.1:1", Source::Token(Token::new("very-secret").unwrap()));
        assert!(!format!("{config:?}").contains("very-secret"));
    }
}
