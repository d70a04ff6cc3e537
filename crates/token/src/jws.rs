//! Bytes to an unverified JWS: bounded, canonical, and nothing believed yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_keyring::Kid;

use crate::json::{Object, Value};
use crate::reason::Reason;

/// The greatest size of a token, in bytes.
pub const TOKEN_BYTES: usize = 8 * 1024;

/// `base64url` without padding, trailing bits zero: one encoding for one sequence of bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The decoded segments of a compact serialization (RFC 7515 section 7.1).
pub(crate) struct Segments<'t> {
    /// What the signature is over.
    pub(crate) signing_input: &'t [u8],
    pub(crate) signature: Vec<u8>,
    header: Vec<u8>,
    payload: Vec<u8>,
}

/// A token whose signature nobody has checked.
pub(crate) struct Unverified<'s> {
    pub(crate) header: Header<'s>,
    pub(crate) payload: Object<'s>,
}

/// The members of the protected header that matter here. Keys that a token brings along (`jwk`,
/// `jku`, `x5c`, `x5u`) are not even read (RFC 8725 section 3.10).
pub(crate) struct Header<'s> {
    pub(crate) alg: &'s str,
    pub(crate) typ: Option<&'s str>,
    pub(crate) kid: KeyName,
    /// `crit` or `b64` stands in it: rules that this profile does not know.
    pub(crate) asks_for_more: bool,
}

/// The header's `kid`.
pub(crate) enum KeyName {
    Absent,
    /// A string that no key of a keyring can be called.
    Unusable,
    Kid(Kid),
}

impl KeyName {
    pub(crate) fn kid(&self) -> Option<&Kid> {
        match self {
            Self::Kid(kid) => Some(kid),
            Self::Absent | Self::Unusable => None,
        }
    }
}

impl<'t> Segments<'t> {
    pub(crate) fn split(token: &'t [u8]) -> Result<Self, Reason> {
        if token.len() > TOKEN_BYTES {
            return Err(Reason::TooLarge);
        }
        let mut segments = token.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(Reason::Malformed);
        };
        let decode = |segment: &[u8]| URL_SAFE_NO_PAD.decode(segment).map_err(|_| Reason::Malformed);
        let signing_input = token.get(..header.len() + 1 + payload.len()).ok_or(Reason::Malformed)?;
        Ok(Self {
            signing_input,
            signature: decode(signature)?,
            header: decode(header)?,
            payload: decode(payload)?,
        })
    }

    /// The header's JSON text.
    pub(crate) fn header(&self) -> Result<Object<'_>, Reason> {
        Object::parse(&self.header).map_err(|_| Reason::Malformed)
    }

    /// The payload's JSON text.
    pub(crate) fn payload(&self) -> Result<Object<'_>, Reason> {
        Object::parse(&self.payload).map_err(|_| Reason::Malformed)
    }

    pub(crate) fn header_bytes(&self) -> &[u8] {
        &self.header
    }

    pub(crate) fn payload_bytes(&self) -> &[u8] {
        &self.payload
    }
}

impl<'s> Header<'s> {
    /// The kid that the token names. There is no other way to a key: none is tried in its absence.
    pub(crate) fn key(&self) -> Result<&Kid, Reason> {
        match &self.kid {
            KeyName::Kid(kid) => Ok(kid),
            KeyName::Absent => Err(Reason::MissingKid),
            KeyName::Unusable => Err(Reason::Malformed),
        }
    }

    /// Reads the header; a member of the wrong type makes the whole no JWS (RFC 7515 section 4.1).
    pub(crate) fn read(header: &'s Object<'s>) -> Result<Self, Reason> {
        let string = |name| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_ref())),
            Some(_) => Err(Reason::Malformed),
        };
        let kid = match string("kid")? {
            None => KeyName::Absent,
            Some(text) => Kid::new(text).map_or(KeyName::Unusable, KeyName::Kid),
        };
        Ok(Self {
            alg: string("alg")?.ok_or(Reason::Malformed)?,
            typ: string("typ")?,
            kid,
            asks_for_more: header.get("crit").is_some() || header.get("b64").is_some(),
        })
    }
}
