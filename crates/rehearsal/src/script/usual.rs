//! The script that is played when none is given, fitted to the policy.

use std::time::Duration;

use keystile_keyring::{Code, Policy};

use super::{Action, Fault, KeyName, Operation, Script};
use crate::replica::ReplicaName;
use crate::scale;

/// Two rotations, a replica killed in the middle of the second, a rollback, a retirement, an emergency
/// revocation, and a revocation with its descendants: everything that must not hurt anybody, then
/// everything that must hurt only whom it is meant for.
pub fn usual(policy: &Policy, gateways: usize) -> Script {
    let seconds = Duration::from_secs;
    let life = if policy.token_ttl == 0 { scale::USUAL_TTL } else { policy.token_ttl };
    let rotation = seconds(scale::rotation(policy));
    let expired = seconds(life + policy.leeway);

    let first = seconds(4);
    let too_early = first + rotation + seconds(1);
    let second = too_early + seconds(2);
    let back = second + rotation + seconds(life / 2).max(seconds(2));
    // Between the end of its last token and the end of its window, which is a few seconds: nothing that a busy
    // machine could draw out comes right before it.
    let retire = back + expired + seconds(1);
    let revoke = retire + seconds(1);
    let revoke_all = revoke + seconds(3);

    let mut script = Script { steps: Vec::new(), end: Some(revoke_all + expired + seconds(2)) };
    let mut operate = |at, operation| script.push(at, Action::Operate(operation), None);
    operate(first, Operation::Rotate { emergency: false });
    operate(second, Operation::Rotate { emergency: false });
    operate(back, Operation::Rollback);
    operate(retire, Operation::Retire { key: KeyName::VerifyOnly, force: true });
    operate(revoke, Operation::Revoke { key: KeyName::Active, descendants: false });
    operate(revoke_all, Operation::Revoke { key: KeyName::Active, descendants: true });

    let cut_off = if policy.token_ttl == 0 { Code::DeadlineRequired } else { Code::LiveTokens };
    let early = Operation::Retire { key: KeyName::VerifyOnly, force: false };
    script.push(too_early, Action::Operate(early), Some(cut_off));
    // The last replica, unless that would leave none to go to.
    let victim = ReplicaName::of_index(usize::from(gateways > 1));
    let killed = Fault::Kill(victim, Duration::from_millis(1500));
    script.push(second + Duration::from_millis(600), Action::Disturb(killed), None);
    script.sort();
    script
}
