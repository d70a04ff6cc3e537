//! TLS handshakes that failed: a few log lines of each sort, with what it may mean.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error};
use tokio::time::Instant;

use crate::metrics::Metrics;
use keystile_replica::Quota;

/// Notes them.
#[derive(Debug)]
pub(super) struct Failures {
    since: Instant,
    /// One for each [`Sort`].
    quotas: [Quota; Sort::COUNT],
}

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    NoTls,
    NoCertificate,
    UnknownAuthority,
    Expired,
    NotTrusted,
    OwnExpired,
    TooSlow,
    Other,
}

impl Sort {
    const COUNT: usize = Self::Other as usize + 1;

    fn of(error: &std::io::Error) -> Self {
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return Self::Other;
        };
        match error {
            Error::InvalidMessage(_) => Self::NoTls,
            Error::NoCertificatesPresented => Self::NoCertificate,
            // The second: an authority of the same name and another key.
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                Self::UnknownAuthority
            }
            Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Self::Expired,
            Error::AlertReceived(
                AlertDescription::UnknownCA
                | AlertDescription::DecryptError
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown,
            ) => Self::NotTrusted,
            Error::AlertReceived(AlertDescription::CertificateExpired) => Self::OwnExpired,
            _ => Self::Other,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::NoTls => "the client does not speak TLS: it may use http:// where https:// is served",
            Self::NoCertificate => "the client presents no certificate, and client_certificates requires one",
            Self::UnknownAuthority => "the client's certificate is of no authority in tls_client_ca",
            Self::Expired => "the client's certificate has expired",
            Self::NotTrusted => "the client does not trust this gateway's certificate: give it the authority",
            Self::OwnExpired => {
                "to the client this gateway's certificate has expired: renew it, or set its clock"
            }
            Self::TooSlow => "the client did not end the handshake within handshake_timeout",
            Self::Other => "TLS handshake failed",
        }
    }
}

impl Failures {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), quotas: std::array::from_fn(|_| Quota::default()) }
    }

    /// A handshake failed.
    pub(super) fn failed(&self, peer: SocketAddr, error: &std::io::Error, metrics: &Metrics) {
        self.note(Sort::of(error), peer, error, metrics);
    }

    /// A handshake took too long.
    pub(super) fn too_slow(&self, peer: SocketAddr, after: Duration, metrics: &Metrics) {
        self.note(Sort::TooSlow, peer, &format_args!("no end after {after:?}"), metrics);
    }

    fn note(&self, sort: Sort, peer: SocketAddr, error: &dyn std::fmt::Display, metrics: &Metrics) {
        metrics.handshake_failures.inc();
        let quota = self.quotas.get(sort as usize);
        match quota.and_then(|quota| quota.line(self.since.elapsed())) {
            Some(left_out) => tracing::warn!(%peer, %error, left_out, "{}", sort.meaning()),
            None => {
                metrics.audit_suppressed.inc();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sort_says_what_it_may_mean() {
        let sort = |error: Error| Sort::of(&std::io::Error::other(error));
        assert_eq!(sort(Error::NoCertificatesPresented), Sort::NoCertificate);
        assert_eq!(sort(Error::InvalidCertificate(CertificateError::UnknownIssuer)), Sort::UnknownAuthority);
        assert_eq!(sort(Error::InvalidCertificate(CertificateError::Expired)), Sort::Expired);
        assert_eq!(sort(Error::AlertReceived(AlertDescription::UnknownCA)), Sort::NotTrusted);
        assert_eq!(sort(Error::AlertReceived(AlertDescription::DecryptError)), Sort::NotTrusted);
        assert_eq!(sort(Error::AlertReceived(AlertDescription::CertificateExpired)), Sort::OwnExpired);
        assert_eq!(Sort::of(&std::io::ErrorKind::ConnectionReset.into()), Sort::Other);
    }
}
