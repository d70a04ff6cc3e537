//! Sandbox tokens: from bytes to the rules.

use keystile_keyring::{Kid, UnixTime};

use std::borrow::Cow;

use crate::json::{Object, Value};
use crate::judge::{Case, Reading, Shown, at_once};
use crate::jws::{Header, Segments, Typ};
use crate::keyring::Keyring;
use crate::reason::Reason;
use crate::remembered::Remembered;
use crate::verdict::{Circumstance, Verdict};

impl Keyring {
    /// The verdict on a sandbox token at `now`.
    pub fn verify(&self, token: &[u8], now: UnixTime) -> Verdict {
        self.verify_with(token, now, Circumstance::Usual)
    }

    /// The verdict on a sandbox token at `now`, under a circumstance.
    pub fn verify_with(&self, token: &[u8], now: UnixTime, circumstance: Circumstance) -> Verdict {
        self.sandbox_verdict(token, now, circumstance).unwrap_or_else(|reason| at_once(reason, None))
    }

    /// The same verdict, without checking a signature again that is `remembered`; a token that is accepted
    /// is remembered from now on.
    pub fn verify_remembering(
        &self,
        token: &[u8],
        now: UnixTime,
        circumstance: Circumstance,
        remembered: &Remembered,
    ) -> Verdict {
        if let Some((kid, claims)) = remembered.recall(token, self) {
            let (kid, audience) = (&kid, self.issuer());
            let case = Case { keyring: self, kid, audience, now, circumstance };
            return case.verdict_on(Reading::of_remembered(claims, audience));
        }
        let verdict = self.verify_with(token, now, circumstance);
        if let Verdict::Accepted(accepted) = &verdict {
            remembered.remember(token, self, accepted);
        }
        verdict
    }

    fn sandbox_verdict(
        &self,
        token: &[u8],
        now: UnixTime,
        circumstance: Circumstance,
    ) -> Result<Verdict, Reason> {
        let segments = Segments::split(token)?;
        let (header, payload) = (self.header(segments.header)?, segments.payload()?);
        match self.route(&header, &payload) {
            Route::Foreign => return Ok(Verdict::NotOurs),
            Route::Refused(reason) => return Ok(at_once(reason, header.kid.kid())),
            Route::Ours => {}
        }
        let (kid, audience) = (header.key()?, self.issuer());
        let shown = Shown { segments: &segments, alg: header.alg, payload: &payload };
        Ok(Case { keyring: self, kid, audience, now, circumstance }.verdict(&shown))
    }

    /// What a header segment says. The headers that our own mint writes, and OpenShell's for the same key,
    /// are recognised; what they say was read by the strict parser when the keyring was compiled.
    fn header(&self, segment: &[u8]) -> Result<Cow<'_, Header>, Reason> {
        match self.recognise(segment) {
            Some(header) => Ok(Cow::Borrowed(header)),
            None => Header::read(segment).map(Cow::Owned),
        }
    }

    /// Whose token it is. `iss` is read before the signature only to refuse or to route.
    fn route(&self, header: &Header, payload: &Object<'_>) -> Route {
        // First, so that no other authenticator sees it.
        if header.typ == Typ::Extension {
            return Route::Refused(Reason::ExtensionToken);
        }
        let known = header.kid.kid().is_some_and(|kid| self.knows(kid));
        match payload.get("iss") {
            _ if known => {}
            Some(Value::String(issuer)) if issuer == self.issuer() => {}
            Some(Value::String(_)) | None => return Route::Foreign,
            // A string by RFC 7519 section 4.1.1; in any other shape ours could hide.
            Some(_) => return Route::Refused(Reason::Malformed),
        }
        if header.asks_for_more {
            return Route::Refused(Reason::Malformed);
        }
        if header.typ == Typ::Other {
            return Route::Refused(Reason::WrongType);
        }
        Route::Ours
    }

    /// Whether the keyring holds, or once held, a key of this kid.
    pub(crate) fn knows(&self, kid: &Kid) -> bool {
        self.manifest().key(kid).is_some() || self.manifest().tombstone(kid).is_some()
    }
}

/// Where a token goes.
enum Route {
    Ours,
    Foreign,
    Refused(Reason),
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_keyring::manifest::Origin;
    use keystile_keyring::plan::{self, Candidate};
    use keystile_keyring::{GatewayId, Policy};
    use keystile_system::{Entropy, EntropyError};
    use proptest::prelude::*;

    use crate::jws::{append_segment, encode};
    use crate::{BootstrapMethod, PrivateKey, PrivateKeys, SandboxGrant, SandboxId, digest, kid_of};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    struct Sevens;

    impl Entropy for Sevens {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            bytes.fill(7);
            Ok(())
        }
    }

    fn private_key() -> PrivateKey {
        PrivateKey::generate(&Sevens).unwrap()
    }

    fn keyring() -> Keyring {
        let public_key = private_key().public_key();
        let first = Candidate { kid: kid_of(&public_key), public_key, origin: Origin::Generated };
        let gateway = GatewayId::new("openshell").unwrap();
        let manifest = plan::init(gateway, Policy::default(), &first, "me", NOW).unwrap().next;
        let mut keys = PrivateKeys::new();
        keys.insert(first.kid, private_key()).unwrap();
        let digest = digest(&manifest.to_json().unwrap());
        Keyring::open(manifest, digest, keys).unwrap()
    }

    fn minted() -> String {
        let id = SandboxId::new("sandbox-1").unwrap();
        let grant = SandboxGrant::bootstrap(id, BootstrapMethod::TokenFile, NOW);
        keyring().mint(&grant, NOW).unwrap().token.expose().to_owned()
    }

    /// A token of this header, its claims honest and its signature good.
    fn with_header(json: &str) -> Vec<u8> {
        use crate::signer::Signer as _;
        let mut token =
            format!("{}.{}", encode(json.as_bytes()), minted().split('.').nth(1).unwrap()).into_bytes();
        let signature = private_key().into_signer().unwrap().sign(&token).unwrap();
        append_segment(&mut token, &signature);
        token
    }

    fn agree(token: &[u8]) -> Verdict {
        let (recognising, strict) = (keyring(), keyring().recognising_nothing());
        let verdict = recognising.verify(token, NOW);
        assert_eq!(verdict, strict.verify(token, NOW));
        verdict
    }

    #[test]
    fn what_is_minted_is_recognised_and_read_the_same() {
        let (token, keyring) = (minted(), keyring());
        let header = token.split('.').next().unwrap().as_bytes();
        assert_eq!(keyring.recognise(header), Some(&Header::read(header).unwrap()));
        assert_eq!(keyring.recognising_nothing().recognise(header), None);
        assert!(agree(token.as_bytes()).is_accepted());
    }

    #[test]
    fn a_header_in_another_spelling_is_left_to_the_strict_parser() {
        let kid = kid_of(&private_key().public_key());
        let good = [
            format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#),
            format!(r#"{{ "typ":"JWT","alg":"EdDSA","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#),
        ];
        for (index, json) in good.iter().enumerate() {
            assert_eq!(keyring().recognise(encode(json.as_bytes()).as_bytes()).is_some(), index == 0);
            assert!(agree(&with_header(json)).is_accepted(), "{json}");
        }
        let bad = [
            format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}","kid":"{kid}"}}"#),
            format!(r#"{{"typ":"JWT","alg":"none","kid":"{kid}"}}"#),
            format!(r#"{{"typ":"openshell-ext+jwt","alg":"EdDSA","kid":"{kid}"}}"#),
            format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}","crit":["x"]}}"#),
            r#"{"typ":"JWT","alg":"EdDSA","kid":"another"}"#.to_owned(),
            r#"{"typ":"JWT","alg":"EdDSA"}"#.to_owned(),
        ];
        for json in bad {
            assert!(!agree(&with_header(&json)).is_accepted(), "{json}");
        }
    }

    /// Headers of the kept corpus, changed over and over: recognised by their bytes or parsed, it is the same.
    #[test]
    fn fuzz_recognised_headers_beside_the_strict_parser() {
        use crate::mutations::{corpus, fuzz, runs};
        let mut inputs =
            corpus(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/header"));
        let kid = kid_of(&private_key().public_key());
        inputs.push(format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}"}}"#).into_bytes());
        let words = &["\"kid\":", "\"alg\":\"none\"", "\"crit\":[]", ",", " ", "\"", "{", "}", "\\u0041"];
        fuzz(&inputs, words, runs(2_000), |input| {
            if let Ok(json) = std::str::from_utf8(input) {
                agree(&with_header(json));
            }
        });
    }

    proptest! {
        #[test]
        fn any_change_gets_one_verdict(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..4)) {
            let mut token = minted().into_bytes();
            let at = at.index(token.len());
            token.splice(at..(at + bytes.len().max(1)).min(token.len()), bytes);
            agree(&token);
        }

        #[test]
        fn any_header_gets_one_verdict(typ in "(JWT|openshell-ext\\+jwt|x)?", alg in "(EdDSA|ES256|none)?", more in "(,\"(crit|b64|kid|typ|x)\":(1|\"JWT\"|null))?") {
            let kid = kid_of(&private_key().public_key());
            let json = format!(r#"{{"typ":"{typ}","alg":"{alg}","kid":"{kid}"{more}}}"#);
            agree(&with_header(&json));
        }

        #[test]
        fn any_bytes_get_one_verdict(bytes in prop::collection::vec(any::<u8>(), 0..1024)) {
            prop_assert!(!agree(&bytes).is_accepted());
        }
    }
}
