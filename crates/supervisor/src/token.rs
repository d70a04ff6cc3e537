//! The token as a supervisor holds it: a secret to present, and what can be read in it without a key.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use keystile_keyring::{Kid, UnixTime};
use serde::Deserialize;
use tonic::metadata::{Ascii, MetadataValue};

/// The longest token that is taken, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;

const SCHEME: &str = "Bearer ";

/// A sandbox token. Cheap to clone; has no `Debug`, and its header value is marked sensitive.
#[derive(Clone)]
pub struct Token(Arc<Inner>);

struct Inner {
    header: HeaderValue,
    facts: Facts,
}

/// Why a text cannot be a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing but blanks.
    #[error("the token is empty")]
    Empty,
    /// Longer than [`MAX_TOKEN`].
    #[error("the token has {found} bytes; expected at most {MAX_TOKEN}")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// A byte that no header value or compact JWS may hold.
    #[error("the token has a byte at offset {offset} that is not visible ASCII")]
    NotVisible {
        /// Where it stands.
        offset: usize,
    },
}

/// When a token ends, as far as its holder can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Its `exp`.
    At(UnixTime),
    /// `exp` is 0: it ends only with its key.
    Never,
    /// It cannot be read, and nobody said.
    Unknown,
}

/// What a token says of itself. Read without checking the signature: good for scheduling and display, never
/// for trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The key that signed it, if it names one.
    pub kid: Option<Kid>,
    /// Its `iat`.
    pub issued_at: Option<UnixTime>,
    /// Its `exp`.
    pub expires: Expiry,
}

impl Token {
    /// Takes `text` less the blanks around it.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if text.len() > MAX_TOKEN {
            return Err(TokenError::TooLong { found: text.len() });
        }
        if let Some(offset) = text.bytes().position(|byte| !byte.is_ascii_graphic()) {
            return Err(TokenError::NotVisible { offset });
        }
        let mut header = HeaderValue::from_str(&format!("{SCHEME}{text}"))
            .map_err(|_| TokenError::NotVisible { offset: 0 })?;
        header.set_sensitive(true);
        Ok(Self(Arc::new(Inner { header, facts: read_facts(text) })))
    }

    /// The secret itself. Whatever takes it must not print or keep it.
    pub fn expose(&self) -> &str {
        self.0.header.to_str().ok().and_then(|value| value.strip_prefix(SCHEME)).unwrap_or_default()
    }

    /// The value of an `authorization` header, marked sensitive.
    pub fn header(&self) -> HeaderValue {
        self.0.header.clone()
    }

    /// The same for the metadata of a gRPC request.
    pub(crate) fn metadata(&self) -> Result<MetadataValue<Ascii>, tonic::Status> {
        let mut value = MetadataValue::try_from(self.0.header.as_bytes())
            .map_err(|_| tonic::Status::internal("the token is no header value"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// What it says of itself.
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }
}

/// Two are equal if their texts are.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.expose() == other.expose()
    }
}

impl Eq for Token {}

#[derive(Deserialize)]
struct Header {
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iat: Option<i64>,
    exp: Option<i64>,
}

fn read_facts(text: &str) -> Facts {
    let mut parts = text.split('.');
    let header: Option<Header> = parts.next().and_then(read_part);
    let claims: Option<Claims> = parts.next().and_then(read_part);
    let instant = |seconds: i64| u64::try_from(seconds).ok().map(UnixTime);
    Facts {
        kid: header.and_then(|header| header.kid).and_then(|kid| Kid::new(kid).ok()),
        issued_at: claims.as_ref().and_then(|claims| claims.iat).and_then(instant),
        expires: claims.and_then(|claims| claims.exp).map_or(Expiry::Unknown, expiry),
    }
}

/// The meaning of an `exp` in seconds.
pub(crate) fn expiry(exp: i64) -> Expiry {
    match u64::try_from(exp) {
        Ok(0) => Expiry::Never,
        Ok(seconds) => Expiry::At(UnixTime(seconds)),
        Err(_) => Expiry::Unknown,
    }
}

fn read_part<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jws(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_facts_are_read_without_a_key() {
        let text = jws(r#"{"alg":"EdDSA","kid":"8b98"}"#, r#"{"iat":100,"exp":3700,"sub":"x"}"#);
        let token = Token::new(&format!("\n {text}\n")).expect("a token");
        assert_eq!(token.expose(), text);
        assert_eq!(token.facts().kid, Some(Kid::new("8b98").unwrap()));
        assert_eq!(token.facts().issued_at, Some(UnixTime(100)));
        assert_eq!(token.facts().expires, Expiry::At(UnixTime(3700)));
    }

    #[test]
    fn an_exp_of_zero_is_never_and_nonsense_is_unknown() {
        let expires = |claims: &str| Token::new(&jws("{}", claims)).unwrap().facts().expires;
        assert_eq!(expires(r#"{"exp":0}"#), Expiry::Never);
        for odd in [r#"{"exp":-1}"#, r#"{"exp":1.5}"#, r#"{"exp":"9"}"#, "{}", "[", r#"{"exp":1e30}"#] {
            assert_eq!(expires(odd), Expiry::Unknown, "{odd}");
        }
        assert_eq!(Token::new("opaque").unwrap().facts().expires, Expiry::Unknown);
    }

    #[test]
    fn a_hostile_kid_is_left_out() {
        let long = "k".repeat(129);
        for kid in ["", "a\\nb", &long] {
            let token = Token::new(&jws(&format!(r#"{{"kid":"{kid}"}}"#), "{}")).unwrap();
            assert_eq!(token.facts().kid, None);
        }
    }

    #[test]
    fn what_cannot_be_a_token_is_refused() {
        assert_eq!(Token::new(" \n").err(), Some(TokenError::Empty));
        assert_eq!(Token::new("a b").err(), Some(TokenError::NotVisible { offset: 1 }));
        assert_eq!(Token::new("a\r\nx: y").err(), Some(TokenError::NotVisible { offset: 1 }));
        assert_eq!(Token::new("é").err(), Some(TokenError::NotVisible { offset: 0 }));
        let longest = "t".repeat(MAX_TOKEN);
        assert!(Token::new(&longest).is_ok());
        assert_eq!(
            Token::new(&format!("{longest}t")).err(),
            Some(TokenError::TooLong { found: MAX_TOKEN + 1 })
        );
    }

    #[test]
    fn t48_the_header_prints_as_sensitive() {
        let token = Token::new("abc.def.ghi").unwrap();
        assert_eq!(token.header(), "Bearer abc.def.ghi");
        assert_eq!(format!("{:?}", token.header()), "Sensitive");
    }
}
