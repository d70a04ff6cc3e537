//! The discovery document, with OpenShell's members in OpenShell's order.

use serde::Serialize;

use crate::keyring::Keyring;

/// What `/.well-known/openid-configuration` holds. Not `OpenID` Connect: the issuer is no URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the members are those of OpenID Connect Discovery 1.0 section 3")]
pub struct Discovery {
    pub issuer: String,
    pub jwks_uri: String,
    pub id_token_signing_alg_values_supported: &'static [&'static str],
    pub response_types_supported: &'static [&'static str],
    pub subject_types_supported: &'static [&'static str],
    pub scopes_supported: &'static [&'static str],
    pub claims_supported: &'static [&'static str],
}

impl Keyring {
    /// The discovery document of a gateway that is reached at `base` (scheme and authority, no slash
    /// at the end).
    pub fn discovery(&self, base: &str) -> Discovery {
        Discovery {
            issuer: self.issuer().to_owned(),
            jwks_uri: format!("{base}/.well-known/jwks.json"),
            id_token_signing_alg_values_supported: &["EdDSA"],
            response_types_supported: &["id_token"],
            subject_types_supported: &["public"],
            scopes_supported: &["openid"],
            claims_supported: &["iss", "aud", "sub", "iat", "exp", "jti", "caller_kind", "sandbox_id"],
        }
    }
}
