//! What a supervisor shows of itself.

use std::fmt;
use std::path::PathBuf;

use keystile_keyring::{Kid, UnixTime};

use crate::failure::Failure;
use crate::token::Expiry;

/// Where a supervisor stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no token yet; the attempts go on.
    Obtaining {
        /// Why the last attempt failed, if there was one.
        failure: Option<Failure>,
    },
    /// There is a token, and nothing to do until its renewal.
    Fresh(Lease),
    /// The token is being renewed; it can be used meanwhile.
    Renewing(Lease),
    /// Renewal has failed and will be tried again; the token may still be good.
    Stale {
        /// The token that is held.
        lease: Lease,
        /// Why.
        failure: Failure,
        /// When the next attempt begins.
        retry_at: UnixTime,
    },
    /// What is held was refused and no source has anything better: somebody must act. Files are watched on, and
    /// the rest is tried again now and then.
    Stranded {
        /// Why.
        failure: Failure,
        /// What to do.
        remedy: Remedy,
    },
    /// The supervisor was stopped.
    Stopped,
}

/// The token that is held, less the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// When it ends.
    pub expires: Expiry,
    /// When its renewal begins.
    pub renew_at: UnixTime,
    /// The key that signed it, if it names one.
    pub kid: Option<Kid>,
    /// How it was got.
    pub origin: Origin,
}

/// How a token was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a value or a file; no gateway has confirmed it yet.
    Given,
    /// Issued by a gateway for a certificate or a ServiceAccount token.
    Issued,
    /// By renewal of the one before.
    Renewed,
}

/// What the operator must do for a stranded supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Write a new token into the file; it is taken up by itself.
    WriteTokenFile(PathBuf),
    /// Start the supervisor again with a new token.
    GiveToken,
    /// Make the gateway accept the client certificate, or replace it.
    FixClientCertificate,
    /// Make the gateway accept the ServiceAccount token in the file, or replace it.
    FixServiceAccount(PathBuf),
}

impl State {
    /// The token that is held, as far as one is.
    pub fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Fresh(lease) | Self::Renewing(lease) | Self::Stale { lease, .. } => Some(lease),
            Self::Obtaining { .. } | Self::Stranded { .. } | Self::Stopped => None,
        }
    }

    /// One word for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Obtaining { .. } => "obtaining",
            Self::Fresh(_) => "fresh",
            Self::Renewing(_) => "renewing",
            Self::Stale { .. } => "stale",
            Self::Stranded { .. } => "stranded",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Obtaining { failure: None } => f.write_str("obtaining the first token"),
            Self::Obtaining { failure: Some(failure) } => write!(f, "no token yet: {failure}"),
            Self::Fresh(lease) => write!(f, "fresh until {}", lease.expires),
            Self::Renewing(lease) => write!(f, "renewing; the token ends at {}", lease.expires),
            Self::Stale { lease, failure, .. } => {
                write!(f, "renewal failed, the token ends at {}: {failure}", lease.expires)
            }
            Self::Stranded { failure, remedy } => write!(f, "the token was refused ({failure}); {remedy}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(instant) => instant.fmt(f),
            Self::Never => f.write_str("never"),
            Self::Unknown => f.write_str("an unknown time"),
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteTokenFile(path) => {
                write!(f, "mint a new token for this sandbox into {}: it is taken up at once", path.display())
            }
            Self::GiveToken => f.write_str("mint a new token for this sandbox and start again with it"),
            Self::FixClientCertificate => f.write_str(
                "give it a client certificate that the gateway accepts: issued by the gateway's client CA, not \
                 expired, with the one URI SAN spiffe://openshell/sandbox/<id>",
            ),
            Self::FixServiceAccount(path) => {
                write!(f, "give it a ServiceAccount token that the gateway accepts in {}", path.display())
            }
        }
    }
}
