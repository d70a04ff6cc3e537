//! Plays the script.

mod faults;
mod operate;
mod probe;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use crate::event::{Event, StepEvent};
use crate::script::{Action, Step};
use crate::stage::Stage;

/// Plays every step at its time, and returns when all are over and the script has ended.
pub(crate) async fn play(stage: &Arc<Stage>) {
    let mut player = Player { stage, operating: None, disturbing: JoinSet::new(), slip: Duration::ZERO };
    let script = stage.settings.script.clone();
    for (index, step) in script.steps.into_iter().enumerate() {
        player.begin(index, step).await;
    }
    player.finish().await;
}

struct Player<'a> {
    stage: &'a Arc<Stage>,
    /// What the operator does now.
    operating: Option<JoinHandle<()>>,
    /// Faults that go on.
    disturbing: JoinSet<()>,
    /// By how much everything is later than written, because the operator was not done yet.
    slip: Duration,
}

impl Player<'_> {
    async fn begin(&mut self, index: usize, step: Step) {
        self.wait_until(step.at).await;
        match &step.action {
            Action::Operate(operation) => {
                self.operator_is_done().await;
                self.slip += self.now().saturating_sub(step.at + self.slip);
                let (stage, operation) = (Arc::clone(self.stage), operation.clone());
                self.operating = Some(tokio::spawn(async move {
                    stage.tell_step(index, StepEvent::Began);
                    let outcome = operate::operate(&stage, index, &operation).await;
                    stage.tell_step(index, outcome);
                }));
            }
            Action::Disturb(fault) => {
                let (stage, fault) = (Arc::clone(self.stage), fault.clone());
                self.disturbing.spawn(async move {
                    stage.tell_step(index, StepEvent::Began);
                    let outcome = faults::befall(&stage, &fault).await;
                    stage.tell_step(index, outcome);
                });
            }
        }
    }

    async fn finish(&mut self) {
        self.operator_is_done().await;
        while self.disturbing.join_next().await.is_some() {}
        self.wait_until(self.stage.settings.ends_at).await;
    }

    async fn operator_is_done(&mut self) {
        if let Some(operating) = self.operating.take() {
            // One that panicked has told so itself, and its step is not done.
            let _ = operating.await;
        }
    }

    async fn wait_until(&self, at: Duration) {
        tokio::time::sleep((at + self.slip).saturating_sub(self.now())).await;
    }

    fn now(&self) -> Duration {
        self.stage.field.clock.moment().0
    }
}

impl Stage {
    fn tell_step(&self, step: usize, what: StepEvent) {
        self.field.tell(Event::Step { at: self.field.clock.moment(), step, what });
    }
}
