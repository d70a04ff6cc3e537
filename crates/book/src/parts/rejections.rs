//! The reasons for which a token is rejected.

use std::fmt::Write as _;

use keystile_token::Reason;

/// One row for each reason.
pub(super) fn table() -> String {
    let head = "| reason | when | the caller is told | read again | alarm |\n|---|---|---|---|---|\n";
    let mut table = head.to_owned();
    let mark = |yes: bool| if yes { "yes" } else { "" };
    for reason in Reason::ALL {
        let (again, alarm) = (reason.newer_generation_could_change(), reason.betrays_a_thief());
        let (when, told) = (meaning(*reason), reason.text());
        let _ = writeln!(table, "| `{reason}` | {when} | {told} | {} | {} |", mark(again), mark(alarm));
    }
    table
}

fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::Malformed => "it is no JWS of this profile",
        Reason::TooLarge => "it has more than 8 KiB",
        Reason::ExtensionToken => "it is an extension token, and a sandbox token belongs here",
        Reason::WrongType => "its `typ` is not the one that belongs here",
        Reason::MissingKid => "it is of our issuer and names no key",
        Reason::UnknownKid => "the keyring never heard of the kid",
        Reason::RetiredKey => "the key's window ran out",
        Reason::RevokedKey => "the key was revoked",
        Reason::KeyNotActive => "the key is published and has no activation",
        Reason::AlgMismatch => "its `alg` is not the key's",
        Reason::BadSignature => "the signature is not the key's",
        Reason::WrongIssuer => "`iss` is another's",
        Reason::WrongAudience => "`aud` is another's",
        Reason::MissingClaim => "a claim is absent, of the wrong type or out of its range",
        Reason::Expired => "`exp` and the leeway have passed",
        Reason::IssuedInFuture => "`iat` lies more than `max_skew` ahead",
        Reason::SignedBeforeActivation => {
            "`iat` is before the key's first activation, by more than `max_skew`"
        }
        Reason::SignedAfterSupersession => "`iat` is after the key's `last_iat`",
        Reason::LifetimeExceedsPolicy => "it lives longer than any token that the key may have signed",
        Reason::NeverExpiresNotAllowed => "`exp` is 0, and the key never signed such",
        Reason::LineageInvalid => "the `keystile` claim is not of its shape, or later than `iat`",
        Reason::LineageRevoked => {
            "its lineage began while a key was good that was revoked with its descendants"
        }
        Reason::LineageTooOld => "its lineage is older than `max_lineage_age`; given when it is refreshed",
        Reason::SubjectMismatch => "`sub` and `sandbox_id` do not agree",
    }
}
