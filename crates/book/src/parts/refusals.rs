//! The codes of refusals.

use std::fmt::Write as _;

use keystile_keyring::Code;

/// One row for each code.
pub(super) fn table() -> String {
    let mut table = "| code | when | what to do |\n|---|---|---|\n".to_owned();
    for code in Code::ALL {
        let _ = writeln!(table, "| `{code}` | {} | {} |", code.meaning(), remedy(*code));
    }
    table
}

/// What to do in general; the refusal itself says it for the case at hand.
fn remedy(code: Code) -> &'static str {
    match code {
        Code::NotEmpty => "Name an empty place. An OpenShell key set is taken over by `adopt`.",
        Code::RotationInFlight => "`rotate` goes on with it, `rollback` drops its key.",
        Code::NothingInFlight => "`prepare`, or `rotate`, which does all of it.",
        Code::ActivationAhead => "Wait for it, or `rollback`.",
        Code::NoReplicas => {
            "Start the gateways. If none runs: `--offline`. Where none can report: `rotate --schedule`."
        }
        Code::ReplicaBehind => "Wait for the replicas that are named, or stop them.",
        Code::CachesNotRunOut => "Wait; `rotate` waits by itself.",
        Code::ReplicasLive => "Leave `--offline` out, or stop the gateways.",
        Code::ScheduleTooShort => "Give at least the lead that is named.",
        Code::ClockBehind | Code::ClockSkew => "Set the clocks right.",
        Code::LiveTokens => "Wait: the key retires by itself. Or `--force` with a reason.",
        Code::DeadlineRequired => "`retire KID --at INSTANT`.",
        Code::DeadlinePast => "Give an instant after now.",
        Code::DeadlineTooFar => "Give an instant within ten years.",
        Code::ReasonRequired => "`--reason \"…\"`.",
        Code::KeySigns => "`rotate` first, or `revoke`.",
        Code::KeyPrepared => "`activate` lets it sign, `rollback` drops it.",
        Code::UnknownKey => "`status` lists the keys.",
        Code::KeyRevoked => "Go forward: `rotate`.",
        Code::KeyRetired => "`prune` removes what is left of it.",
        Code::NothingToRollBack => "Name a key: `rollback --to KID`. Or go forward: `rotate`.",
        Code::RollbackTooLate => "Go forward: `rotate`, or `rotate --emergency`.",
        Code::KeyringFull => "Wait for the oldest key to retire and `prune`, or set a deadline for it.",
        Code::KidReused => "Let Keystile make the key.",
        Code::PolicyOutOfRange => "Give a value within the range.",
        Code::RequestIdReused => "Use a new request id.",
        Code::ManifestFull => "Shorten the text, or wait and `prune`.",
        Code::NoSigner => "`rotate --emergency` makes a new key.",
        Code::UnknownKeysInStore => "If you trust them: `reconcile --accept DIGEST`.",
        Code::StoreWentBack | Code::StoreForked => "`reconcile` repairs it.",
        Code::ReplicaAhead => "Restore the newest backup; if there is none: `reconcile --accept DIGEST`.",
        Code::WouldBreak => "`doctor`; if it finds nothing, this is a defect: report it.",
    }
}
