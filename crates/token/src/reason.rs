//! The closed list of reasons for which a token is refused.

/// Declares the reasons, their list and their labels in one place.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $label:literal,)*) => {
        /// Why a token is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word for it: metric label and log field.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

reasons! {
    /// No JWS in compact serialization with JSON objects in it, or one that the profile excludes
    /// whoever made it.
    Malformed => "malformed",
    /// More bytes than any token of ours has.
    TooLarge => "too-large",
    /// An extension token where a sandbox token belongs.
    ExtensionToken => "extension-token",
    /// `typ` is not the one that belongs here.
    WrongType => "wrong-type",
    /// The token is of our issuer and names no key.
    MissingKid => "missing-kid",
    /// The keyring never heard of the kid.
    UnknownKid => "unknown-kid",
    /// The key's window ran out.
    RetiredKey => "retired-key",
    /// The key was revoked.
    RevokedKey => "revoked-key",
    /// The key is published and no activation is committed: it must not have signed.
    KeyNotActive => "key-not-active",
    /// `alg` is not the key's own.
    AlgMismatch => "alg-mismatch",
    /// The signature is not the key's.
    BadSignature => "bad-signature",
    /// `iss` is not ours.
    WrongIssuer => "wrong-issuer",
    /// `aud` is not the one that belongs here.
    WrongAudience => "wrong-audience",
    /// A claim is absent, of the wrong type, or out of its range.
    MissingClaim => "missing-claim",
    /// `exp` plus leeway is over.
    Expired => "expired",
    /// `iat` is later than any clock within bounds may show.
    IssuedInFuture => "issued-in-future",
    /// `iat` is before the key began to sign.
    SignedBeforeActivation => "signed-before-activation",
    /// `iat` is after the last instant at which any replica may have signed with the key.
    SignedAfterSupersession => "signed-after-supersession",
    /// `exp - iat` is longer than any token that the key may have signed.
    LifetimeExceedsPolicy => "lifetime-exceeds-policy",
    /// `exp` is 0, and the key never signed such.
    NeverExpiresNotAllowed => "never-expires-not-allowed",
    /// The lineage claim is not of its shape, or later than `iat`.
    LineageInvalid => "lineage-invalid",
    /// The lineage began while a key was good that has been revoked with its descendants.
    LineageRevoked => "lineage-revoked",
    /// The lineage is older than policy lets a chain of refreshes become.
    LineageTooOld => "lineage-too-old",
    /// `sub` and `sandbox_id` (or `caller_kind`) do not agree.
    SubjectMismatch => "subject-mismatch",
}

impl Reason {
    /// Whether a newer generation could make the verdict another one: then the store is read again
    /// before the token is refused.
    ///
    /// Besides those that a rotation brings about these are `signed-before-activation` (a revocation may
    /// have brought the activation forward) and `never-expires-not-allowed` (policy may have changed
    /// to tokens that never expire): both cost a good signature, so no flood can ask for them.
    pub fn newer_generation_could_change(self) -> bool {
        matches!(
            self,
            Self::UnknownKid
                | Self::RetiredKey
                | Self::KeyNotActive
                | Self::SignedBeforeActivation
                | Self::SignedAfterSupersession
                | Self::LifetimeExceedsPolicy
                | Self::NeverExpiresNotAllowed
        )
    }

    /// Whether a token with a good signature that is refused for this was not made by a replica: it
    /// is what a careless thief of the key looks like.
    pub fn betrays_a_thief(self) -> bool {
        matches!(
            self,
            Self::KeyNotActive
                | Self::SignedBeforeActivation
                | Self::SignedAfterSupersession
                | Self::LifetimeExceedsPolicy
                | Self::NeverExpiresNotAllowed
                | Self::LineageInvalid
        )
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
