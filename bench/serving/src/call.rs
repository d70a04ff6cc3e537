//! What the servers are asked.

use clap::ValueEnum;

/// A question with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Call {
    /// `GET /verify` over HTTP/1.1.
    Verify,
    /// gRPC `RefreshSandboxToken` over HTTP/2.
    Refresh,
}

impl Call {
    /// Its name as an argument.
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Refresh => "refresh",
        }
    }

    /// Its path.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Verify => "/verify",
            Self::Refresh => "/openshell.v1.OpenShell/RefreshSandboxToken",
        }
    }
}

/// An empty message of gRPC: a byte that says it is not compressed, and its length.
pub(crate) const EMPTY_MESSAGE: [u8; 5] = [0; 5];
