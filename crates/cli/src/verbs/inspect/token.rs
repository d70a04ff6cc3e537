//! The parts of a token, for the eye.

use keystile_keyring::{Kid, UnixTime};
use keystile_token::Inspection;
use serde::Serialize;
use serde_json::Value;

use crate::console::harmless;
use crate::when::When;

/// The parts of a token. The signature is not among them.
#[derive(Debug, Serialize)]
pub(super) struct Parts {
    /// Always false: nobody has verified anything.
    verified: bool,
    /// The protected header.
    header: Value,
    /// The claims.
    claims: Value,
    /// The kid that it names.
    kid: Option<Kid>,
    /// The signature's length in bytes.
    signature_bytes: usize,
}

impl From<Inspection> for Parts {
    fn from(parts: Inspection) -> Self {
        let Inspection { header, claims, kid, signature_bytes } = parts;
        Self { verified: false, header, claims, kid, signature_bytes }
    }
}

impl Parts {
    /// For people: instants are told as such.
    pub(super) fn text(&self, when: &When) -> String {
        let mut text = "token, NOT verified\n".to_owned();
        for (part, value) in [("header", &self.header), ("claims", &self.claims)] {
            text.push_str(&format!("  {part}\n"));
            for (name, value) in value.as_object().into_iter().flatten() {
                let name = harmless(name);
                text.push_str(&format!("    {name:<12} {value}{}\n", told(&name, value, when)));
            }
        }
        text.push_str(&format!("  signature    {} bytes, not shown\n", self.signature_bytes));
        text
    }
}

/// What an instant means.
fn told(name: &str, value: &Value, when: &When) -> String {
    match (name, value.as_u64()) {
        ("exp", Some(0)) => "  never expires".to_owned(),
        ("iat" | "exp" | "nbf", Some(seconds)) => format!("  {}", when.both(UnixTime(seconds))),
        _ => String::new(),
    }
}
