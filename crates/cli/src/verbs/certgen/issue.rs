//! Making the certificates: ECDSA P-256, signed by an authority of this directory's own.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use keystile_keyring::UnixTime;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::verbs::certgen::Place;

const DAY: u64 = 86_400;

/// A certificate file that is larger is not one.
const MOST_BYTES: u64 = 64 * 1024;

/// A certificate and its private key, as PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// From when to when certificates are valid: whole days, a day early for clocks that are behind.
#[derive(Clone, Copy)]
pub(super) struct Validity {
    from: Date,
    to: Date,
}

impl Validity {
    /// From `now` on for `seconds`; `None` beyond the calendar's end.
    pub(super) fn from(now: UnixTime, seconds: u64) -> Option<Self> {
        Some(Self { from: date(now.minus(DAY))?, to: date(now.plus(seconds))? })
    }

    /// The instant at which they end.
    pub(super) fn not_after(self) -> UnixTime {
        let zoned = self.to.to_zoned(TimeZone::UTC).ok();
        let seconds = zoned.and_then(|zoned| u64::try_from(zoned.timestamp().as_second()).ok());
        UnixTime(seconds.unwrap_or_default())
    }

    /// An authority outlives what it signs.
    fn of_authority(self) -> Self {
        let ten_years = jiff::Span::new().years(10);
        Self { to: self.to.checked_add(ten_years).unwrap_or(self.to), ..self }
    }

    fn apply(self, params: &mut CertificateParams) {
        let day = |date: Date| {
            rcgen::date_time_ymd(
                i32::from(date.year()),
                date.month().unsigned_abs(),
                date.day().unsigned_abs(),
            )
        };
        params.not_before = day(self.from);
        params.not_after = day(self.to);
    }
}

fn date(at: UnixTime) -> Option<Date> {
    let stamp = Timestamp::from_second(i64::try_from(at.0).ok()?).ok()?;
    Some(stamp.to_zoned(TimeZone::UTC).date())
}

/// A certificate authority.
pub(super) struct Authority {
    certificate: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub(super) fn make(validity: Validity) -> Result<Self, Failure> {
        let mut authority = params("keystile-ca", validity.of_authority());
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let certificate = authority.self_signed(&key).map_err(|error| failed(&error))?.pem();
        Ok(Self { certificate, key: key.serialize_pem(), issuer: Issuer::new(authority, key) })
    }

    /// The one that lies at `place`.
    pub(super) fn read(place: &Place) -> Result<Self, Failure> {
        let certificate = crate::files::read_text(&place.certificate, MOST_BYTES)?;
        let key = crate::files::read_text(&place.key, MOST_BYTES)?;
        let wrong = |error: &rcgen::Error| {
            let found =
                format!("{} and {} are no authority", place.certificate.display(), place.key.display());
            Failure::new(Exit::Other, found)
                .because(Some(error))
                .expected("what keystile certgen wrote there")
        };
        let signer = KeyPair::from_pem(&key).map_err(|error| wrong(&error))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, signer).map_err(|error| wrong(&error))?;
        Ok(Self { certificate, key, issuer })
    }

    /// Its own pair.
    pub(super) fn pair(&self) -> Pair {
        Pair { certificate: self.certificate.clone(), key: self.key.clone() }
    }

    /// A server's pair.
    pub(super) fn server(&self, names: &[String], validity: Validity) -> Result<Pair, Failure> {
        let template = CertificateParams::new(names.to_vec()).map_err(|error| failed(&error))?;
        let mut server = params("keystile-server", validity);
        server.subject_alt_names = template.subject_alt_names;
        self.sign(server, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// The pair of the sandbox that `uri` names.
    pub(super) fn client(&self, uri: &str, validity: Validity) -> Result<Pair, Failure> {
        let mut client = params("keystile-client", validity);
        let uri = uri.try_into().map_err(|error| failed(&error))?;
        client.subject_alt_names = vec![SanType::URI(uri)];
        self.sign(client, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Result<Pair, Failure> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let signed: Certificate = params.signed_by(&key, &self.issuer).map_err(|error| failed(&error))?;
        Ok(Pair { certificate: signed.pem(), key: key.serialize_pem() })
    }
}

fn params(name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "keystile");
    params.distinguished_name.push(DnType::CommonName, name);
    validity.apply(&mut params);
    params
}

fn failed(error: &rcgen::Error) -> Failure {
    Failure::new(Exit::Other, "a certificate could not be made").because(Some(error))
}
