//! Faults that are added to a script by name.

use std::time::Duration;

use super::{Action, Fault, Operation, Script, ScriptError, Step, parse};
use crate::replica::ReplicaName;

/// The faults that have a name, and what each does.
pub const FAULTS: &[(&str, &str)] = &[
    ("kill", "kill -9 of gateway-1 for 1.5 s just after the first rotation began"),
    ("restart", "a graceful restart of gateway-1 just after the first rotation began"),
    ("freeze", "SIGSTOP of gateway-1 for 2 s while the first rotation waits for the fleet"),
    ("hide-store", "the store is out of reach for 2 s, one second before the first rotation"),
    ("restart-all", "graceful restarts of every gateway, one after the other, from 1 s on"),
];

/// Adds a fault: a name of [`FAULTS`], or a step as a script writes it.
pub fn with_fault(mut script: Script, fault: &str, gateways: usize) -> Result<Script, ScriptError> {
    if fault.trim_start().starts_with("at ") {
        script.steps.append(&mut parse(fault)?.steps);
        script.sort();
        return Ok(script);
    }
    let millis = Duration::from_millis;
    let rotation = script.first_rotation().unwrap_or(Duration::from_secs(4));
    let first = ReplicaName::of_index(0);
    match fault {
        "kill" => script.disturb(rotation + millis(400), Fault::Kill(first, millis(1500))),
        "restart" => script.disturb(rotation + millis(400), Fault::Restart(first, millis(500))),
        "freeze" => script.disturb(rotation + millis(100), Fault::Freeze(first, millis(2000))),
        "hide-store" => {
            // The operator comes back once the store does.
            script.put_off(rotation, millis(1500));
            script.disturb(rotation.saturating_sub(millis(1000)), Fault::HideStore(millis(2000)));
        }
        "restart-all" => {
            for (index, at) in (0..gateways).zip((1000..).step_by(1500)) {
                script.disturb(millis(at), Fault::Restart(ReplicaName::of_index(index), millis(300)));
            }
        }
        other => {
            let known: Vec<_> = FAULTS.iter().map(|(name, _)| *name).collect();
            let found = other.chars().take(40).collect();
            return Err(ScriptError::UnknownFault { found, known: known.join(", ") });
        }
    }
    script.sort();
    Ok(script)
}

impl Script {
    fn first_rotation(&self) -> Option<Duration> {
        let rotates = |step: &&Step| matches!(step.action, Action::Operate(Operation::Rotate { .. }));
        self.steps.iter().find(rotates).map(|step| step.at)
    }

    fn disturb(&mut self, at: Duration, fault: Fault) {
        self.steps.push(Step { at, action: Action::Disturb(fault), expect: None });
    }

    /// Moves everything from `from` on.
    fn put_off(&mut self, from: Duration, by: Duration) {
        for step in self.steps.iter_mut().filter(|step| step.at >= from) {
            step.at += by;
        }
        self.end = self.end.map(|end| end + by);
    }

    /// Whether every step is played before the load ends.
    pub fn check_end(&self) -> Result<(), ScriptError> {
        let late = |end: Duration| self.steps.iter().find(|step| step.at > end).map(|step| (step, end));
        match self.end.and_then(late) {
            Some((step, end)) => {
                let end = format!("at {} end", super::Instant(end));
                Err(ScriptError::AfterEnd { step: step.to_string(), end })
            }
            None => Ok(()),
        }
    }

    /// Whether every replica that it names runs.
    pub fn check_replicas(&self, gateways: usize) -> Result<(), ScriptError> {
        let named = self.steps.iter().filter_map(|step| match &step.action {
            Action::Disturb(fault) => fault.replica(),
            Action::Operate(_) => None,
        });
        match named.into_iter().find(|replica| replica.index() >= gateways) {
            Some(replica) => Err(ScriptError::NoSuchReplica { found: replica.to_string(), gateways }),
            None => Ok(()),
        }
    }
}
