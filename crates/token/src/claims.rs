//! The claims of a sandbox token.

use keystile_keyring::{TokenTimes, UnixTime};

use crate::json::{Object, Value};
use crate::judge::{Kind, Reading};
use crate::lineage::{BootstrapMethod, Lineage};
use crate::reason::Reason;
use crate::sandbox_id::SandboxId;

/// What a sandbox token says, after everything about it was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The sandbox.
    pub sandbox_id: SandboxId,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`; `None` if the token never expires.
    pub expires_at: Option<UnixTime>,
    /// The bootstrap that it descends from.
    pub lineage: Lineage,
}

/// A claim of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the claim of its name")]
pub enum Claim {
    Sub,
    Iss,
    Aud,
    Iat,
    Exp,
    SandboxId,
    Jti,
    CallerKind,
}

/// What is wrong with one claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimFault {
    /// Which claim.
    pub claim: Claim,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// What can be wrong with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// It is absent.
    Missing,
    /// It is of another JSON type.
    WrongType,
    /// It is of the right type and of no use: negative, empty, too long.
    OutOfRange,
}

impl Claim {
    /// The name in the token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sub => "sub",
            Self::Iss => "iss",
            Self::Aud => "aud",
            Self::Iat => "iat",
            Self::Exp => "exp",
            Self::SandboxId => "sandbox_id",
            Self::Jti => "jti",
            Self::CallerKind => "caller_kind",
        }
    }

    fn fault(self, kind: FaultKind) -> ClaimFault {
        ClaimFault { claim: self, kind }
    }

    pub(crate) fn string<'p>(self, payload: &'p Object<'_>) -> Result<&'p str, ClaimFault> {
        match payload.get(self.as_str()) {
            None => Err(self.fault(FaultKind::Missing)),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.fault(FaultKind::WrongType)),
        }
    }

    pub(crate) fn instant(self, payload: &Object<'_>) -> Result<UnixTime, ClaimFault> {
        match payload.get(self.as_str()) {
            None => Err(self.fault(FaultKind::Missing)),
            Some(Value::Integer(seconds)) => {
                u64::try_from(*seconds).map(UnixTime).map_err(|_| self.fault(FaultKind::OutOfRange))
            }
            Some(_) => Err(self.fault(FaultKind::WrongType)),
        }
    }

    /// An instant after the epoch.
    pub(crate) fn positive(self, payload: &Object<'_>) -> Result<UnixTime, ClaimFault> {
        let instant = self.instant(payload)?;
        if instant == UnixTime::EPOCH { Err(self.fault(FaultKind::OutOfRange)) } else { Ok(instant) }
    }

    pub(crate) fn sandbox_id(payload: &Object<'_>) -> Result<SandboxId, ClaimFault> {
        let text = Self::SandboxId.string(payload)?;
        SandboxId::new(text).map_err(|_| Self::SandboxId.fault(FaultKind::OutOfRange))
    }
}

impl<'i> Reading<'i, Claims> {
    /// What a token of `issuer` says that was accepted once.
    pub(crate) fn of_remembered(claims: Claims, issuer: &'i str) -> Self {
        let Claims { issued_at, expires_at, .. } = claims;
        let times = TokenTimes { issued_at, expires_at, lineage_began: claims.lineage.began };
        Self { issuer, audience: issuer, times, fault: None, claims }
    }
}

impl Kind for Claims {
    const CEILING: Option<u64> = None;

    /// In the order in which OpenShell declares them.
    fn read<'p>(payload: &'p Object<'_>) -> Result<Reading<'p, Self>, ClaimFault> {
        let subject = Claim::Sub.string(payload)?;
        let issuer = Claim::Iss.string(payload)?;
        let audience = Claim::Aud.string(payload)?;
        let issued_at = Claim::Iat.instant(payload)?;
        let exp = Claim::Exp.instant(payload)?;
        let sandbox_id = Claim::sandbox_id(payload)?;
        let expires_at = (exp != UnixTime::EPOCH).then_some(exp);
        let (lineage, fault) = match Lineage::read(payload, issued_at) {
            Some(lineage) => (lineage, (!sandbox_id.is_subject(subject)).then_some(Reason::SubjectMismatch)),
            None => (Lineage::begin(issued_at, BootstrapMethod::Unknown), Some(Reason::LineageInvalid)),
        };
        Ok(Reading {
            issuer,
            audience,
            times: TokenTimes { issued_at, expires_at, lineage_began: lineage.began },
            fault,
            claims: Self { sandbox_id, issued_at, expires_at, lineage },
        })
    }

    fn sandbox_id(&self) -> Option<&SandboxId> {
        Some(&self.sandbox_id)
    }
}
