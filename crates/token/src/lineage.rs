//! Where a chain of refreshes began: the one claim that Keystile adds to OpenShell's.

use keystile_keyring::UnixTime;
use serde::Serialize;

use crate::json::{Object, Value};

/// The name of the claim.
pub(crate) const CLAIM: &str = "keystile";

/// The bootstrap that a token descends from. A refresh passes it on unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Lineage {
    /// The instant of the bootstrap, in seconds; never later than the token's `iat`.
    pub began: UnixTime,
    /// How the sandbox proved itself then.
    pub method: BootstrapMethod,
}

/// How a sandbox proved itself when it got its first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootstrapMethod {
    /// A token file that the operator minted.
    TokenFile,
    /// A client certificate.
    ClientCertificate,
    /// A Kubernetes `ServiceAccount` token.
    ServiceAccount,
    /// The token does not say, or names a method that this version does not know.
    Unknown,
}

impl BootstrapMethod {
    const ALL: [Self; 4] = [Self::TokenFile, Self::ClientCertificate, Self::ServiceAccount, Self::Unknown];

    /// The word for it, as in the claim.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenFile => "token-file",
            Self::ClientCertificate => "client-certificate",
            Self::ServiceAccount => "service-account",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for BootstrapMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Lineage {
    /// A lineage that begins now.
    pub fn begin(now: UnixTime, method: BootstrapMethod) -> Self {
        Self { began: now, method }
    }

    /// The lineage that the claims of a token issued at `issued_at` tell: without the claim it began
    /// with the token itself. `None` if the claim is not of the expected shape or later than `iat`.
    pub(crate) fn read(claims: &Object<'_>, issued_at: UnixTime) -> Option<Self> {
        let Some(claim) = claims.get(CLAIM) else {
            return Some(Self { began: issued_at, method: BootstrapMethod::Unknown });
        };
        let Value::Object(claim) = claim else {
            return None;
        };
        let (Some(Value::Integer(began)), Some(Value::String(method))) =
            (claim.get("began"), claim.get("method"))
        else {
            return None;
        };
        let began = UnixTime(u64::try_from(*began).ok()?);
        // A newer version may know more methods: its tokens must not be refused for that.
        let known = BootstrapMethod::ALL.into_iter().find(|known| known.as_str() == method);
        let method = known.unwrap_or(BootstrapMethod::Unknown);
        (began <= issued_at).then_some(Self { began, method })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_printed_as_it_is_claimed() {
        for method in BootstrapMethod::ALL {
            assert_eq!(serde_json::to_value(method).unwrap(), method.to_string());
            assert_eq!(format!("{method:>20}").len(), 20);
        }
    }
}
