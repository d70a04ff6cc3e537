//! What a client certificate says: the one sandbox that it names, or that it names none.

use std::sync::Arc;

use keystile_keyring::UnixTime;
use keystile_token::SandboxId;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What the peer of a connection proved with a certificate that its authority signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum PeerCertificate {
    /// It presented none.
    #[default]
    Absent,
    /// It names one sandbox.
    Sandbox(Arc<SandboxCertificate>),
    /// It names none.
    Other(CertificateError),
}

/// A certificate that names one sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SandboxCertificate {
    /// The sandbox.
    pub(crate) sandbox_id: SandboxId,
    /// The last instant at which it is good. A connection may outlive it.
    pub(crate) not_after: UnixTime,
}

/// Why a certificate names no sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    /// It cannot be read.
    #[error("client certificate cannot be read")]
    Malformed,
    /// It is an authority's.
    #[error("client certificate is an authority's, not a sandbox's")]
    Authority,
    /// It has no URI, or several, among its alternative names.
    #[error("client certificate must have exactly one URI name, found {0}")]
    UriCount(usize),
    /// Its URI is not a sandbox's.
    #[error("client certificate names no sandbox: its URI must be spiffe://openshell/sandbox/<id>")]
    NotASandbox,
}

impl PeerCertificate {
    /// Reads the certificate chain that the handshake accepted.
    pub(crate) fn of(chain: Option<&[rustls::pki_types::CertificateDer<'_>]>) -> Self {
        match chain.and_then(<[_]>::first) {
            None => Self::Absent,
            Some(leaf) => match sandbox(leaf) {
                Ok(sandbox) => Self::Sandbox(Arc::new(sandbox)),
                Err(error) => Self::Other(error),
            },
        }
    }
}

fn sandbox(der: &[u8]) -> Result<SandboxCertificate, CertificateError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    if certificate.is_ca() {
        return Err(CertificateError::Authority);
    }
    let names = certificate.subject_alternative_name().map_err(|_| CertificateError::Malformed)?;
    let uris: Vec<&str> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
        .collect();
    let [uri] = uris.as_slice() else {
        return Err(CertificateError::UriCount(uris.len()));
    };
    let sandbox_id = SandboxId::from_subject(uri).filter(SandboxId::is_path_segment);
    let sandbox_id = sandbox_id.ok_or(CertificateError::NotASandbox)?;
    let not_after = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default();
    Ok(SandboxCertificate { sandbox_id, not_after: UnixTime(not_after) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::string::Ia5String;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SanType};

    fn certificate(names: &[SanType], is_ca: bool) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().expect("a key pair");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    fn id(text: &str) -> SandboxId {
        SandboxId::new(text).expect("an id")
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(Ia5String::try_from(text).expect("ASCII"))
    }

    #[test]
    fn one_uri_names_one_sandbox() {
        let dns = SanType::DnsName(Ia5String::try_from("sandbox.local").expect("ASCII"));
        let found = sandbox(&certificate(&[dns, uri("spiffe://openshell/sandbox/7f3a0c52")], false));
        let expected = SandboxCertificate { sandbox_id: id("7f3a0c52"), not_after: UnixTime(2_208_988_800) };
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn anything_else_names_none() {
        let id = "spiffe://openshell/sandbox/a";
        let long = format!("spiffe://openshell/sandbox/{}", "a".repeat(129));
        let not_sandboxes = [
            "spiffe://openshell/sandbox/",
            "spiffe://openshell/sandbox/..",
            "spiffe://openshell/sandbox/a/b",
            "spiffe://openshell/sandbox/a?b",
            "spiffe://openshell/sandbox/a%2fb",
            "spiffe://openshell/gateway/a",
            "SPIFFE://openshell/sandbox/a",
            "spiffe://openshell.example/sandbox/a",
            "https://openshell/sandbox/a",
            &long,
        ];
        for text in not_sandboxes {
            let found = sandbox(&certificate(&[uri(text)], false));
            assert_eq!(found, Err(CertificateError::NotASandbox), "{text}");
        }
        assert_eq!(sandbox(&certificate(&[], false)), Err(CertificateError::UriCount(0)));
        assert_eq!(sandbox(&certificate(&[uri(id), uri(id)], false)), Err(CertificateError::UriCount(2)));
        assert_eq!(sandbox(&certificate(&[uri(id)], true)), Err(CertificateError::Authority));
        assert_eq!(sandbox(b"not a certificate"), Err(CertificateError::Malformed));
    }
}
