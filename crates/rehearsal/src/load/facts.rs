//! What a token says, read by code of the rehearsal's own: the oracle must not borrow the judge's eyes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_keyring::{Kid, UnixTime};
use serde::Deserialize;

use crate::event::TokenFacts;

#[derive(Deserialize)]
struct Header {
    kid: Kid,
}

#[derive(Deserialize)]
struct Claims {
    iat: u64,
    exp: u64,
    keystile: Option<Lineage>,
}

#[derive(Deserialize)]
struct Lineage {
    began: u64,
}

/// What `token` says; `None` if it is not one of a gateway's.
pub(super) fn read(token: &str) -> Option<TokenFacts> {
    let mut parts = token.split('.');
    let decoded = |part: Option<&str>| URL_SAFE_NO_PAD.decode(part?).ok();
    let header: Header = serde_json::from_slice(&decoded(parts.next())?).ok()?;
    let claims: Claims = serde_json::from_slice(&decoded(parts.next())?).ok()?;
    Some(TokenFacts {
        kid: header.kid,
        expires: (claims.exp != 0).then_some(UnixTime(claims.exp)),
        began: UnixTime(claims.keystile.map_or(claims.iat, |lineage| lineage.began)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::kid;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_is_read() {
        let claims = r#"{"iat":100,"exp":106,"sub":"x","keystile":{"began":90,"method":"token-file"}}"#;
        let expected = TokenFacts { kid: kid("8b98"), expires: Some(UnixTime(106)), began: UnixTime(90) };
        assert_eq!(read(&token(r#"{"alg":"EdDSA","kid":"8b98"}"#, claims)), Some(expected));
    }

    #[test]
    fn without_the_claim_its_lineage_begins_with_it_and_exp_0_is_never() {
        let expected = TokenFacts { kid: kid("8b98"), expires: None, began: UnixTime(100) };
        assert_eq!(read(&token(r#"{"kid":"8b98"}"#, r#"{"iat":100,"exp":0}"#)), Some(expected));
    }

    #[test]
    fn what_is_no_token_is_nothing() {
        for text in ["", ".", "a.b.c", &token("{}", r#"{"iat":1,"exp":2}"#), &token(r#"{"kid":"k"}"#, "{}")] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
