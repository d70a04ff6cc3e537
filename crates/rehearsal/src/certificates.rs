//! Certificates for one run: an authority, the gateways' certificate, one for each supervisor.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::error::RehearsalError;
use crate::work::write_secret;

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// An authority of this run's own: nothing outside it trusts it.
pub(crate) struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Makes it, and writes its certificate into `directory`.
    pub(crate) fn make(directory: &Path) -> Result<Self, RehearsalError> {
        let mut params = params("rehearsal authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(RehearsalError::Certificates)?;
        let pem = params.self_signed(&key).map_err(RehearsalError::Certificates)?.pem();
        let authority = Self { directory: directory.to_owned(), issuer: Issuer::new(params, key), pem };
        write_secret(&authority.path(), &authority.pem)?;
        Ok(authority)
    }

    /// The file of its certificate.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate of a server at 127.0.0.1.
    pub(crate) fn server(&self) -> Result<Pair, RehearsalError> {
        let names = ["127.0.0.1", "localhost"].map(String::from);
        let params = CertificateParams::new(names).map_err(RehearsalError::Certificates)?;
        self.issue("server", params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// The certificate with which a sandbox bootstraps.
    pub(crate) fn sandbox(&self, id: &str) -> Result<Pair, RehearsalError> {
        let mut params = params(id);
        let uri = format!("spiffe://openshell/sandbox/{id}");
        let uri = uri.as_str().try_into().map_err(RehearsalError::Certificates)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        self.issue(id, params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        name: &str,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Pair, RehearsalError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(RehearsalError::Certificates)?;
        let signed = params.signed_by(&key, &self.issuer).map_err(RehearsalError::Certificates)?;
        let pair = Pair {
            certificate: self.directory.join(format!("{name}.crt")),
            key: self.directory.join(format!("{name}.key")),
        };
        write_secret(&pair.certificate, &signed.pem())?;
        write_secret(&pair.key, &key.serialize_pem())?;
        Ok(pair)
    }
}

/// Valid from 1975 to 4096: the run's clocks may be anywhere.
fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "keystile rehearsal");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_written_where_it_says() {
        let place = tempfile::tempdir().expect("a directory");
        let authority = Authority::make(place.path()).expect("an authority");
        for pair in [authority.server().expect("a server"), authority.sandbox("sandbox-7").expect("a client")]
        {
            let read = |path: &Path| std::fs::read_to_string(path).expect("there");
            assert!(read(&pair.certificate).contains("BEGIN CERTIFICATE"));
            assert!(read(&pair.key).contains("PRIVATE KEY"));
        }
        assert_eq!(std::fs::read_to_string(authority.path()).expect("there"), authority.pem());
        assert!(authority.sandbox("not ascii: ü").is_err());
    }
}
