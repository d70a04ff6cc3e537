//! A token's parts for people to look at. Nothing in them is to be believed.

use keystile_keyring::Kid;

use crate::jws::{Header, Segments, decode};
use crate::reason::Reason;

/// The parts of a token that nobody has verified. The signature is not among them, so that what is
/// shown cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// The protected header.
    pub header: serde_json::Value,
    /// The claims.
    pub claims: serde_json::Value,
    /// The kid, if it is one that a key can have.
    pub kid: Option<Kid>,
    /// The length of the signature in bytes; 64 for Ed25519.
    pub signature_bytes: usize,
}

/// Takes a token apart under the same limits as verification.
pub fn inspect(token: &[u8]) -> Result<Inspection, Reason> {
    let segments = Segments::split(token)?;
    let header = Header::read(segments.header)?;
    segments.payload()?;
    let value = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|_| Reason::Malformed);
    Ok(Inspection {
        kid: header.kid.kid().cloned(),
        header: value(&decode(segments.header)?)?,
        claims: value(segments.payload_bytes())?,
        signature_bytes: segments.signature.len(),
    })
}
