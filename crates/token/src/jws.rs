//! Bytes to an unverified JWS: bounded, canonical, and nothing believed yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_keyring::Kid;
use keystile_keyring::manifest::Alg;

use crate::extension::EXTENSION_TYP;
use crate::json::{Object, Value};
use crate::reason::Reason;

/// The greatest size of a token, in bytes.
pub const TOKEN_BYTES: usize = 8 * 1024;

/// The `typ` of a sandbox token, if it has one.
pub(crate) const SANDBOX_TYP: &str = "JWT";

/// Many bytes at a time, where the processor can. What strangers send is decoded by the plain engine, whose code has no
/// `unsafe`.
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
static ENCODER: std::sync::LazyLock<base64::engine::Simd> =
    std::sync::LazyLock::new(|| base64::engine::Simd::url_safe(base64::engine::general_purpose::NO_PAD));
#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
use URL_SAFE_NO_PAD as ENCODER;

/// `base64url` without padding, trailing bits zero: one encoding for one sequence of bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    ENCODER.encode(bytes)
}

/// Appends a dot and [`encode`] of `bytes` to a token.
pub(crate) fn append_segment(token: &mut Vec<u8>, bytes: &[u8]) {
    token.push(b'.');
    let start = token.len();
    token.resize(start + encoded_length(bytes.len()), 0);
    let room = token.get_mut(start..).unwrap_or_default();
    let written = ENCODER.encode_slice(bytes, room);
    debug_assert_eq!(written, Ok(encoded_length(bytes.len())), "the room is what the encoding takes");
}

/// The length of [`encode`] of `bytes` bytes.
pub(crate) fn encoded_length(bytes: usize) -> usize {
    base64::encoded_len(bytes, false).unwrap_or_default()
}

/// The segments of a compact serialization (RFC 7515 section 7.1); the header is still encoded.
pub(crate) struct Segments<'t> {
    /// What the signature is over.
    pub(crate) signing_input: &'t [u8],
    pub(crate) signature: Vec<u8>,
    pub(crate) header: &'t [u8],
    payload: Vec<u8>,
}

/// The members of the protected header that matter here. Keys that a token brings along (`jwk`,
/// `jku`, `x5c`, `x5u`) are not even read (RFC 8725 section 3.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// `None` if it is none that a key can have.
    pub(crate) alg: Option<Alg>,
    pub(crate) typ: Typ,
    pub(crate) kid: KeyName,
    /// `crit` or `b64` stands in it: rules that this profile does not know.
    pub(crate) asks_for_more: bool,
}

/// The header's `typ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typ {
    Absent,
    Sandbox,
    Extension,
    Other,
}

impl Typ {
    fn of(text: Option<&str>) -> Self {
        match text {
            None => Self::Absent,
            Some(SANDBOX_TYP) => Self::Sandbox,
            Some(EXTENSION_TYP) => Self::Extension,
            Some(_) => Self::Other,
        }
    }
}

/// The header's `kid`.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        let dot = |byte: &u8| *byte == b'.';
        let (Some(first), Some(last)) = (token.iter().position(dot), token.iter().rposition(dot)) else {
            return Err(Reason::Malformed);
        };
        // A dot between these two is found by the decoder: it is no letter of base64url.
        let (Some(header), Some(payload), Some(signature), Some(signing_input)) =
            (token.get(..first), token.get(first + 1..last), token.get(last + 1..), token.get(..last))
        else {
            return Err(Reason::Malformed);
        };
        Ok(Self { signing_input, signature: decode(signature)?, header, payload: decode(payload)? })
    }

    /// The payload's JSON text.
    pub(crate) fn payload(&self) -> Result<Object<'_>, Reason> {
        Object::parse(&self.payload).map_err(|_| Reason::Malformed)
    }

    pub(crate) fn payload_bytes(&self) -> &[u8] {
        &self.payload
    }
}

/// The bytes of a segment, if it is the one encoding of them.
pub(crate) fn decode(segment: &[u8]) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| Reason::Malformed)
}

impl Header {
    /// The kid that the token names. There is no other way to a key: none is tried in its absence.
    pub(crate) fn key(&self) -> Result<&Kid, Reason> {
        match &self.kid {
            KeyName::Kid(kid) => Ok(kid),
            KeyName::Absent => Err(Reason::MissingKid),
            KeyName::Unusable => Err(Reason::Malformed),
        }
    }

    /// Reads a header segment; a member of the wrong type makes the whole no JWS (RFC 7515 section 4.1).
    pub(crate) fn read(segment: &[u8]) -> Result<Self, Reason> {
        let json = decode(segment)?;
        let header = Object::parse(&json).map_err(|_| Reason::Malformed)?;
        let string = |name| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_ref())),
            Some(_) => Err(Reason::Malformed),
        };
        let kid = match string("kid")? {
            None => KeyName::Absent,
            Some(text) => Kid::new(text).map_or(KeyName::Unusable, KeyName::Kid),
        };
        let alg = string("alg")?.ok_or(Reason::Malformed)?;
        Ok(Self {
            alg: [Alg::EdDsa].into_iter().find(|known| known.as_str() == alg),
            typ: Typ::of(string("typ")?),
            kid,
            asks_for_more: header.get("crit").is_some() || header.get("b64").is_some(),
        })
    }
}
