//! Extension tokens: what a gateway or a supervisor shows to a middleware or interceptor service.

use keystile_keyring::{TokenTimes, UnixTime};
use keystile_system::Entropy;
use serde::Serialize;

use crate::claims::{Claim, ClaimFault};
use crate::json::Object;
use crate::judge::{Case, Kind, Reading, Shown, at_once};
use crate::jws::{Header, Segments, Typ};
use crate::keyring::Keyring;
use crate::mint::{MintError, Minted};
use crate::reason::Reason;
use crate::sandbox_id::SandboxId;
use crate::verdict::{Circumstance, Verdict};

/// The `typ` of an extension token.
pub const EXTENSION_TYP: &str = "openshell-ext+jwt";
/// The longest lifetime of an extension token, in seconds.
const LONGEST: u64 = 3600;
/// The lifetime where sandbox tokens never expire, in seconds.
const TTL_WITHOUT_POLICY: u64 = 900;
/// The greatest length of an audience, in bytes.
const AUDIENCE_BYTES: usize = 256;

/// Who an extension token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The gateway itself.
    Gateway,
    /// The supervisor of a sandbox.
    Supervisor(SandboxId),
}

/// What an extension service is to the gateway; names its default audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionKind {
    /// A middleware.
    Middleware,
    /// An interceptor.
    Interceptor,
}

/// The audience of an extension token: not empty, no blanks around it, no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience(String);

/// A text that is no audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "extension audience must be 1 to {AUDIENCE_BYTES} bytes without control characters and without blanks around it"
)]
pub struct AudienceError;

impl Audience {
    /// Checks `text` and takes it verbatim.
    pub fn new(text: impl Into<String>) -> Result<Self, AudienceError> {
        let text = text.into();
        let fits = (1..=AUDIENCE_BYTES).contains(&text.len());
        let clean = text.trim() == text && !text.chars().any(char::is_control);
        if fits && clean { Ok(Self(text)) } else { Err(AudienceError) }
    }

    /// The audience of the service `name` unless its registration says otherwise.
    pub fn of_service(kind: ExtensionKind, name: &str) -> Result<Self, AudienceError> {
        let kind = match kind {
            ExtensionKind::Middleware => "middleware",
            ExtensionKind::Interceptor => "interceptor",
        };
        Self::new(format!("urn:openshell:extension:{kind}:{name}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an extension token is minted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionGrant {
    /// The service that it is for.
    pub audience: Audience,
    /// Who shows it.
    pub caller: Caller,
    /// Its lifetime in seconds, 1 to 3600; see [`Keyring::extension_ttl`].
    pub ttl: u64,
}

/// Why a grant of an extension token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// The audience is the gateway's own.
    #[error("extension audience must not equal the gateway sandbox audience")]
    OwnAudience,
    /// The lifetime is out of its range.
    #[error("extension token TTL must be between 1 and 3600 seconds")]
    Ttl,
    /// The token would outlive the window that its key gets once it is superseded.
    #[error("extension token TTL must not exceed the sandbox token lifetime of {longest} seconds")]
    OutlivesKey {
        /// The longest lifetime that the key may sign, in seconds.
        longest: u64,
    },
    /// No `jti` could be made.
    #[error("no random bytes for the token's id")]
    Entropy,
}

/// What an extension token says, after everything about it was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionClaims {
    /// Who shows it.
    pub caller: Caller,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`.
    pub expires_at: UnixTime,
    /// `jti`: for logs, not for replay protection.
    pub token_id: String,
}

#[derive(Serialize)]
struct WireClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    iat: UnixTime,
    exp: UnixTime,
    jti: String,
    caller_kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_id: Option<&'a str>,
}

impl Keyring {
    /// The lifetime of extension tokens by policy, in seconds.
    pub fn extension_ttl(&self) -> u64 {
        match self.manifest().policy.token_ttl {
            0 => TTL_WITHOUT_POLICY,
            ttl => ttl.min(LONGEST),
        }
    }

    /// Mints an extension token at `now`.
    pub fn mint_extension(
        &self,
        grant: &ExtensionGrant,
        now: UnixTime,
        entropy: &dyn Entropy,
    ) -> Result<Minted, MintError> {
        if grant.audience.as_str() == self.issuer() {
            return Err(ExtensionError::OwnAudience.into());
        }
        if !(1..=LONGEST).contains(&grant.ttl) {
            return Err(ExtensionError::Ttl.into());
        }
        let key = self.signing_key(now)?;
        if let Some(longest) = key.bounded_lifetime().filter(|longest| grant.ttl > *longest) {
            return Err(ExtensionError::OutlivesKey { longest }.into());
        }
        let exp = now.plus(grant.ttl);
        let (sub, caller_kind, sandbox_id) = match &grant.caller {
            Caller::Gateway => (self.issuer().to_owned(), "gateway", None),
            Caller::Supervisor(id) => (id.subject(), "supervisor", Some(id.as_str())),
        };
        let times = TokenTimes { issued_at: now, expires_at: Some(exp), lineage_began: now };
        self.viable::<ExtensionClaims>(key, times, now)?;
        let jti = uuid_v4(entropy)?;
        let (iss, aud) = (self.issuer(), grant.audience.as_str());
        let claims = WireClaims { iss, aud, sub, iat: now, exp, jti, caller_kind, sandbox_id };
        let claims = serde_json::to_vec(&claims).map_err(|error| MintError::Encoding(error.to_string()))?;
        let token = self.sign(key, |headers| &headers.extension, &claims)?;
        Ok(Minted { token, expires_at: Some(exp), kid: key.kid.clone() })
    }

    /// The verdict on an extension token for `audience` at `now`. Never [`Verdict::NotOurs`]: where an
    /// extension token is asked for, nothing else will do.
    pub fn verify_extension(
        &self,
        token: &[u8],
        audience: &Audience,
        now: UnixTime,
    ) -> Verdict<ExtensionClaims> {
        self.extension_verdict(token, audience, now).unwrap_or_else(|reason| at_once(reason, None))
    }

    fn extension_verdict(
        &self,
        token: &[u8],
        audience: &Audience,
        now: UnixTime,
    ) -> Result<Verdict<ExtensionClaims>, Reason> {
        let segments = Segments::split(token)?;
        let (header, payload) = (Header::read(segments.header)?, segments.payload()?);
        if header.asks_for_more {
            return Err(Reason::Malformed);
        }
        if header.typ != Typ::Extension {
            return Err(Reason::WrongType);
        }
        let kid = header.key()?;
        let foreign = Claim::Iss.string(&payload) != Ok(self.issuer());
        if foreign && !self.knows(kid) {
            return Ok(at_once(Reason::WrongIssuer, Some(kid)));
        }
        let shown = Shown { segments: &segments, alg: header.alg, payload: &payload };
        let (audience, circumstance) = (audience.as_str(), Circumstance::Usual);
        Ok(Case { keyring: self, kid, audience, now, circumstance }.verdict(&shown))
    }
}

impl Kind for ExtensionClaims {
    const CEILING: Option<u64> = Some(LONGEST);

    fn read<'p>(payload: &'p Object<'_>) -> Result<Reading<'p, Self>, ClaimFault> {
        let issuer = Claim::Iss.string(payload)?;
        let audience = Claim::Aud.string(payload)?;
        let subject = Claim::Sub.string(payload)?;
        let issued_at = Claim::Iat.instant(payload)?;
        let expires_at = Claim::Exp.positive(payload)?;
        let token_id = Claim::Jti.string(payload)?.to_owned();
        let kind = Claim::CallerKind.string(payload)?;
        let sandbox_id = payload.get("sandbox_id").map(|_| Claim::sandbox_id(payload)).transpose()?;
        let agrees = match (kind, &sandbox_id) {
            ("gateway", None) => subject == issuer,
            ("supervisor", Some(id)) => id.is_subject(subject),
            _ => false,
        };
        let caller = sandbox_id.map_or(Caller::Gateway, Caller::Supervisor);
        Ok(Reading {
            issuer,
            audience,
            times: TokenTimes { issued_at, expires_at: Some(expires_at), lineage_began: issued_at },
            fault: (!agrees).then_some(Reason::SubjectMismatch),
            claims: Self { caller, issued_at, expires_at, token_id },
        })
    }

    fn sandbox_id(&self) -> Option<&SandboxId> {
        match &self.caller {
            Caller::Gateway => None,
            Caller::Supervisor(sandbox_id) => Some(sandbox_id),
        }
    }
}

/// A random UUID (RFC 9562 section 5.4).
fn uuid_v4(entropy: &dyn Entropy) -> Result<String, ExtensionError> {
    let mut random = [0; 16];
    entropy.fill(&mut random).map_err(|_| ExtensionError::Entropy)?;
    let bits = u128::from_be_bytes(random) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let mut uuid = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    Ok(uuid)
}
