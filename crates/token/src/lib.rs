//! The closed JWS profile of Keystile: sandbox and extension tokens, minted, parsed and verified.
//!
//! Bytes become an unverified token, then, with an immutable [`Keyring`] and one reading of the clock,
//! a closed [`Verdict`]. Nothing here reads a clock or a file; randomness is passed in. The profile is
//! one algorithm (Ed25519, RFC 8037), two token types and a handful of claims; what is outside it is
//! refused, not interpreted (RFC 8725).
//!
//! ```
//! use keystile_keyring::manifest::Origin;
//! use keystile_keyring::plan::{self, Candidate};
//! use keystile_keyring::{GatewayId, Policy, UnixTime};
//! use keystile_system::SystemEntropy;
//! use keystile_token::{
//!     BootstrapMethod, Keyring, PrivateKey, PrivateKeys, SandboxGrant, SandboxId, Verdict, digest, kid_of,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = UnixTime(1_800_000_000);
//! let private = PrivateKey::generate(&SystemEntropy)?;
//! let public_key = private.public_key();
//! let first = Candidate { kid: kid_of(&public_key), public_key, origin: Origin::Generated };
//! let manifest = plan::init(GatewayId::new("openshell")?, Policy::default(), &first, "me", now)?.next;
//!
//! let mut keys = PrivateKeys::new();
//! keys.insert(first.kid.clone(), private)?;
//! let digest = digest(&manifest.to_json()?);
//! let keyring = Keyring::open(manifest, digest, keys)?;
//!
//! let grant = SandboxGrant::bootstrap(SandboxId::new("sandbox-1")?, BootstrapMethod::TokenFile, now);
//! let minted = keyring.mint(&grant, now)?;
//! let Verdict::Accepted(accepted) = keyring.verify(minted.token.expose().as_bytes(), now.plus(60)) else {
//!     panic!("a fresh token is accepted");
//! };
//! assert_eq!(accepted.claims.sandbox_id.as_str(), "sandbox-1");
//! assert_eq!(accepted.kid, first.kid);
//! # Ok(())
//! # }
//! ```

mod answer;
mod claims;
mod digest;
mod discovery;
mod docket;
mod extension;
mod inspect;
mod json;
mod judge;
mod jwk;
mod jws;
mod keyring;
mod lineage;
mod mint;
#[cfg(test)]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the test kit depends on this crate: by path"
)]
#[path = "../../testkit/src/mutations.rs"]
mod mutations;
mod payload;
mod pem;
mod private_key;
mod private_keys;
mod public_key;
mod reason;
mod remembered;
mod sandbox_id;
mod secret;
mod signer;
#[cfg(test)]
mod testing;
mod verdict;
mod verify;
mod vouched;

pub use answer::{Answer, GrpcCode};
pub use claims::{Claim, ClaimFault, Claims, FaultKind};
pub use digest::{digest, kid_of};
pub use discovery::Discovery;
pub use extension::{
    Audience, AudienceError, Caller, EXTENSION_TYP, ExtensionClaims, ExtensionError, ExtensionGrant,
    ExtensionKind,
};
pub use inspect::{Inspection, inspect};
pub use jwk::{Jwk, JwkSet};
pub use jws::TOKEN_BYTES;
pub use keyring::{Keyring, KeyringError};
pub use lineage::{BootstrapMethod, Lineage};
pub use mint::{MintError, Minted, SandboxGrant};
pub use private_key::{KeyError, PrivateKey};
pub use private_keys::{KidTaken, PrivateKeys};
pub use public_key::{public_key_from_pem, public_key_to_pem};
pub use reason::Reason;
pub use remembered::{Remembered, RememberedCounts};
pub use sandbox_id::SandboxId;
pub use secret::{PrivatePem, SecretToken};
pub use signer::{KeyVerifier, SignError, Signer, Verifier};
pub use verdict::{Accepted, Circumstance, Rejection, Signature, Verdict};
pub use vouched::Vouched;
