//! The audit log: one line per token minted, bounded lines per class of refusal, alarms. Target `audit`.
//!
//! Never a token, and of a refused one only what its signature vouches for: a kid is shown because its
//! characters were checked, a sandbox only after a good signature.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::{Kid, UnixTime};
use keystile_token::{Reason, Rejection, SandboxId};

use crate::gatekeeper::Gatekeeper;
use crate::metrics::Metrics;
use keystile_replica::Quota;

/// The target of every audit line.
const TARGET: &str = "audit";

/// How often it is said what was verified.
const SUMMARY: Duration = Duration::from_mins(1);

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Bootstrap,
    Refresh,
    Extension,
}

impl Operation {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Refresh => "refresh",
            Self::Extension => "extension",
        }
    }
}

/// Writes audit lines within bounds.
pub(crate) struct Audit {
    /// One for each reason, in the order of [`Reason::ALL`].
    rejections: Vec<Quota>,
    alarms: Quota,
    denials: Quota,
}

/// A token that was minted.
pub(crate) struct MintLine<'a> {
    pub(crate) operation: Operation,
    pub(crate) sandbox: &'a SandboxId,
    pub(crate) kid: &'a Kid,
    pub(crate) presented: Option<&'a Kid>,
    pub(crate) expires_at: Option<UnixTime>,
    pub(crate) audience: Option<&'a str>,
    pub(crate) peer: SocketAddr,
}

/// A token was minted.
pub(crate) fn minted(line: &MintLine<'_>) {
    tracing::info!(
        target: TARGET,
        operation = line.operation.as_str(),
        outcome = "minted",
        sandbox = %line.sandbox,
        kid = %line.kid,
        presented = line.presented.map(tracing::field::display),
        expires_at = line.expires_at.map(|at| at.0),
        audience = line.audience,
        peer = %line.peer,
    );
}

impl Audit {
    pub(crate) fn new() -> Self {
        Self {
            rejections: Reason::ALL.iter().map(|_| Quota::default()).collect(),
            alarms: Quota::default(),
            denials: Quota::default(),
        }
    }

    /// A token was refused. `adopted`: its key was taken over from a single-key gateway.
    pub(crate) fn rejected(
        &self,
        rejection: &Rejection,
        adopted: bool,
        peer: SocketAddr,
        uptime: Duration,
        metrics: &Metrics,
    ) {
        if rejection.alarm {
            self.alarm(rejection, adopted, peer, uptime, metrics);
        }
        let quota = self.rejections.get(rejection.reason as usize);
        let Some(left_out) = quota.and_then(|quota| line(quota, uptime, metrics)) else {
            return;
        };
        tracing::warn!(
            target: TARGET,
            outcome = "rejected",
            reason = rejection.reason.as_str(),
            claim = rejection.fault.map(|fault| fault.claim.as_str()),
            kid = rejection.kid.as_ref().map(tracing::field::display),
            sandbox = rejection.sandbox_id.as_ref().map(tracing::field::display),
            %peer,
            left_out,
        );
    }

    /// Somebody other than a replica has signed with our key.
    fn alarm(
        &self,
        rejection: &Rejection,
        adopted: bool,
        peer: SocketAddr,
        uptime: Duration,
        metrics: &Metrics,
    ) {
        metrics.alarms.inc();
        let Some(left_out) = line(&self.alarms, uptime, metrics) else {
            return;
        };
        tracing::error!(
            target: TARGET,
            alarm = rejection.reason.as_str(),
            kid = rejection.kid.as_ref().map(tracing::field::display),
            sandbox = rejection.sandbox_id.as_ref().map(tracing::field::display),
            %peer,
            left_out,
            "{}",
            rejection.reason.suspicion(adopted),
        );
    }

    /// A caller who is known, or who could not be, was denied an operation.
    pub(crate) fn denied(
        &self,
        operation: Operation,
        why: &str,
        peer: SocketAddr,
        uptime: Duration,
        metrics: &Metrics,
    ) {
        if let Some(left_out) = line(&self.denials, uptime, metrics) {
            tracing::warn!(
                target: TARGET,
                operation = operation.as_str(),
                outcome = "denied",
                why,
                %peer,
                left_out,
            );
        }
    }

    /// Says from time to time, for ever, what was verified and how many lines were left out.
    pub(crate) async fn summarize(gatekeeper: Arc<Gatekeeper>) {
        const RESULTS: [&str; 4] = ["accepted", "rejected", "unavailable", "not-ours"];
        let mut before = [0; 4];
        loop {
            tokio::time::sleep(SUMMARY).await;
            let now = RESULTS.map(|result| gatekeeper.metrics.verifications.get(result));
            let left_out = gatekeeper.audit.left_out();
            if now != before || left_out > 0 {
                let [accepted, rejected, unavailable, not_ours] = now;
                tracing::info!(
                    target: TARGET,
                    outcome = "verified",
                    accepted,
                    rejected,
                    unavailable,
                    not_ours,
                    left_out,
                    "totals since this process started"
                );
            }
            before = now;
        }
    }

    /// Lines that were left out and that no later line of their class has told of yet.
    fn left_out(&self) -> u64 {
        let quotas = self.rejections.iter().chain([&self.alarms, &self.denials]);
        quotas.map(Quota::left_out).sum()
    }
}

/// Whether a line of a class may be written, and how many were left out before it.
fn line(quota: &Quota, uptime: Duration, metrics: &Metrics) -> Option<u64> {
    let line = quota.line(uptime);
    if line.is_none() {
        metrics.audit_suppressed.inc();
    }
    line
}
