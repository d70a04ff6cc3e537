//! `Debug` for the messages that carry a token: everything but the token.

use std::fmt;

use crate::openshell::v1::{
    ExtensionServiceCredential, IssueSandboxTokenResponse, RefreshSandboxTokenResponse,
};

impl fmt::Debug for IssueSandboxTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueSandboxTokenResponse")
            .field("expires_at_ms", &self.expires_at_ms)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshSandboxTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshSandboxTokenResponse")
            .field("expires_at_ms", &self.expires_at_ms)
            .field("extension_credentials", &self.extension_credentials)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ExtensionServiceCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtensionServiceCredential")
            .field("service_name", &self.service_name)
            .field("expires_at_ms", &self.expires_at_ms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t48_no_token_is_printed() {
        let token = "eyJhbGciOiJFZERTQSJ9.e30.c2ln";
        let credential = ExtensionServiceCredential {
            service_name: "audit".into(),
            token: token.into(),
            expires_at_ms: 7000,
        };
        let issued = IssueSandboxTokenResponse { token: token.into(), expires_at_ms: 7000 };
        let refreshed = RefreshSandboxTokenResponse {
            token: token.into(),
            expires_at_ms: 7000,
            extension_credentials: vec![credential],
        };
        let printed = format!("{issued:?} {issued:#?} {refreshed:?} {refreshed:#?}");
        assert!(!printed.contains("eyJ"), "{printed}");
        assert!(printed.contains("7000") && printed.contains("audit"), "{printed}");
    }
}
