//! The forms in which a private key or a token could be found, and the search for them.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use keystile_token::PrivateKey;

/// What every file with a private key says of itself.
pub(crate) const LABEL: &str = "PRIVATE KEY";

/// The forms of one secret, each byte a letter.
pub(crate) struct Traces(Vec<String>);

impl Traces {
    /// Of a private key: its seed as it is, in hexadecimal, as a list of numbers and in base64; the body of its PEM, and
    /// that in base64 once more.
    pub(crate) fn of_key(key: &PrivateKey) -> Self {
        let pem = key.to_pem();
        let body = pem.lines().nth(1).expect("a line of base64");
        let der = STANDARD.decode(body).expect("base64");
        let seed = &der[der.len() - 32..];
        let hex = seed.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let numbers = |between: &str| seed[..8].iter().map(u8::to_string).collect::<Vec<_>>().join(between);
        let texts = [hex.to_uppercase(), hex, numbers(", "), numbers(","), body.to_owned()];
        let encoded =
            [seed, body.as_bytes()].map(|inner| (0..3).flat_map(|before| inside_base64(inner, before)));
        let texts = texts.into_iter().chain(encoded.into_iter().flatten());
        Self(texts.chain([letters(seed)]).collect())
    }

    /// Of a token: what it claims, and its signature. Whoever has the whole has these.
    pub(crate) fn of_token(token: &str) -> Self {
        let parts: Vec<_> = token.split('.').collect();
        let [_, payload, signature] = parts[..] else { panic!("no token") };
        Self([payload, signature].map(str::to_owned).to_vec())
    }

    pub(crate) fn are_in(&self, bytes: &[u8]) -> bool {
        let text = letters(bytes);
        self.0.iter().any(|form| text.contains(form))
    }
}

/// Each byte as a letter. Texts are searched by code that is always optimised; a search of bytes would be this program's.
fn letters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Base64 of something with `inner` in it and so many bytes, less those of whole triples, before it: what of the text
/// `inner` alone decides.
fn inside_base64(inner: &[u8], before: usize) -> [String; 2] {
    let bytes = [&vec![0; before], inner].concat();
    let shared = usize::from(!bytes.len().is_multiple_of(3));
    let begin = (before * 8).div_ceil(6);
    [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)]
        .map(|text| text[begin..text.len() - shared].to_owned())
}

/// How often `what` is in `bytes`.
pub(crate) fn count(what: &[u8], bytes: &[u8]) -> usize {
    let first = what[0];
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
    starts.filter(|(at, _)| bytes[*at..].starts_with(what)).count()
}

/// Everything below `directory`; where a link leads to is found by itself.
pub(crate) fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            found.extend(below(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}

/// Every file below `directory`, with what it holds.
pub(crate) fn files_below(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = below(directory).into_iter().filter(|path| path.is_file() && !path.is_symlink());
    files.map(|path| (path.clone(), std::fs::read(&path).expect("a file"))).collect()
}

/// A search that finds nothing proves nothing if it could not find anything.
#[test]
fn every_form_of_a_key_and_of_a_token_is_found() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
               -----END PRIVATE KEY-----\n";
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let bytes: Vec<u8> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&seed[at..at + 2], 16).expect("hex")).collect();
    let key = Traces::of_key(&PrivateKey::from_pem(pem.as_bytes()).expect("RFC 8032's first key"));
    let around = |before: usize| [&vec![7; before][..], &bytes, b"after"].concat();
    let texts = [
        pem.to_owned(),
        seed.to_owned(),
        seed.to_uppercase(),
        format!("{bytes:?}"),
        serde_json::to_string(&bytes).expect("JSON"),
        STANDARD.encode(pem),
        // Nobody's label in front of it.
        pem.lines().nth(1).expect("a body").to_owned(),
    ];
    for text in &texts {
        assert!(key.are_in(text.as_bytes()), "{text}");
    }
    for before in 0..9 {
        let (standard, url) = (STANDARD.encode(around(before)), URL_SAFE_NO_PAD.encode(around(before)));
        assert!(key.are_in(standard.as_bytes()) && key.are_in(url.as_bytes()), "{before}");
        assert!(key.are_in(&around(before)));
    }
    let token = Traces::of_token("eyJh.eyJi.c2ln");
    assert!(token.are_in(b"x eyJh.eyJi.c2ln y") && token.are_in(b"c2ln") && !token.are_in(b"eyJh"));
}
