//! Rotate: prepare, wait, activate. Can be cut off and resumed anywhere.

use std::time::Duration;

use keystile_keyring::plan::{Planned, Request};

use crate::{OperateError, Operator, Outcome, Progress};

/// How often the fleet's reports are read while a rotation waits.
const POLL: Duration = Duration::from_millis(250);

/// How long a rotation may wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Take the next step and do not wait.
    pub no_wait: bool,
    /// Give up waiting after this long; the rotation stays in flight.
    pub timeout: Option<Duration>,
}

impl Operator {
    /// Carries `request`, a [`Verb::Rotate`](keystile_keyring::plan::Verb), to its end.
    ///
    /// Dropping the future at any point is safe: the rotation stays in flight, and the same call
    /// resumes it.
    pub async fn rotate(
        &self,
        request: &Request,
        rotation: Rotation,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, OperateError> {
        let began = self.clock.uptime();
        loop {
            let ready = self.read(true).await?;
            match self.plan(&ready, request)? {
                Planned::Change(plan) => {
                    let signs = plan.next.operation.is_none();
                    let committed = match self.commit(*plan, ready, progress).await {
                        // Another run of the same rotation took this step: go on from there.
                        Err(OperateError::Conflict { .. }) => continue,
                        other => other?,
                    };
                    if signs {
                        return Ok(Outcome::Committed(Box::new(committed)));
                    }
                }
                Planned::Wait { gate, operation } => {
                    progress.waiting(&operation, &gate, self.clock.now());
                    let waited = self.clock.uptime().saturating_sub(began);
                    if rotation.no_wait || rotation.timeout.is_some_and(|timeout| waited >= timeout) {
                        return Err(OperateError::Held { gate, operation });
                    }
                    tokio::time::sleep(POLL).await;
                }
                Planned::Done(done) => return Ok(Outcome::Done(done)),
                Planned::Nothing(why) => return Ok(Outcome::Nothing(why)),
            }
        }
    }
}
