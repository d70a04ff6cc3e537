//! What befalls the fleet.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::RehearsalError;
use crate::event::{Event, ReplicaEvent, StepEvent};
use crate::replica::ReplicaName;
use crate::script::Fault;
use crate::stage::Stage;
use keystile_picture::briefly;

/// How long a replica that stood still may take to become ready.
const BACK: Duration = Duration::from_secs(10);

/// Lets the fault befall, and waits until it is over.
pub(super) async fn befall(stage: &Stage, fault: &Fault) -> StepEvent {
    let over = match fault {
        Fault::Kill(replica, pause) => kill(stage, *replica, *pause).await,
        Fault::Restart(replica, pause) => restart(stage, *replica, *pause).await,
        Fault::Freeze(replica, pause) => Ok(freeze(stage, *replica, *pause).await),
        Fault::HideStore(pause) => hide_store(stage, *pause).await,
    };
    over.unwrap_or_else(|error| StepEvent::Failed(told(&error)))
}

fn told(error: &RehearsalError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

fn tell(stage: &Stage, replica: ReplicaName, what: ReplicaEvent) {
    stage.field.tell(Event::Replica { at: stage.field.clock.moment(), replica, what });
}

async fn kill(stage: &Stage, replica: ReplicaName, pause: Duration) -> Result<StepEvent, RehearsalError> {
    stage.field.fleet.kill(replica).await;
    tell(stage, replica, ReplicaEvent::Killed);
    tokio::time::sleep(pause).await;
    let measured = start(stage, replica).await?;
    Ok(StepEvent::Done { did: format!("{replica}, started again after {}", briefly(pause)), measured })
}

async fn restart(stage: &Stage, replica: ReplicaName, pause: Duration) -> Result<StepEvent, RehearsalError> {
    let before = stage.field.clock.moment();
    let gently = stage.field.fleet.stop(replica).await;
    let took = stage.field.clock.moment().since(before);
    if !gently {
        return Ok(StepEvent::Failed(format!("{replica} had not stopped after {}", briefly(took))));
    }
    tell(stage, replica, ReplicaEvent::Stopped);
    tokio::time::sleep(pause).await;
    let ready = start(stage, replica).await?;
    let did = format!("{replica}, started again after {}", briefly(pause));
    Ok(StepEvent::Done { did, measured: format!("stopped in {}, {ready}", briefly(took)) })
}

/// Starts a gateway again; what was measured.
async fn start(stage: &Stage, replica: ReplicaName) -> Result<String, RehearsalError> {
    let before = stage.field.clock.moment();
    let readiness = stage.field.fleet.start(replica).await?;
    let after = stage.field.clock.moment().since(before);
    tell(stage, replica, ReplicaEvent::Ready { after });
    Ok(format!("ready in {} at generation {}", briefly(after), readiness.generation))
}

async fn freeze(stage: &Stage, replica: ReplicaName, pause: Duration) -> StepEvent {
    stage.field.fleet.freeze(replica).await;
    tell(stage, replica, ReplicaEvent::Frozen);
    tokio::time::sleep(pause).await;
    stage.field.fleet.thaw(replica).await;
    tell(stage, replica, ReplicaEvent::Thawed);
    let before = stage.field.clock.moment();
    let ready = tokio::time::timeout(BACK, until_ready(stage, replica)).await;
    let after = briefly(stage.field.clock.moment().since(before));
    let Ok(generation) = ready else {
        return StepEvent::Failed(format!("{replica} is not ready {after} after it goes on"));
    };
    let measured = format!("ready {after} later at generation {generation}");
    StepEvent::Done { did: format!("{replica} stood still for {}", briefly(pause)), measured }
}

/// The generation at which a replica becomes ready.
async fn until_ready(stage: &Stage, replica: ReplicaName) -> u64 {
    loop {
        let answer = match stage.field.fleet.wire(replica) {
            Some(wire) => wire.readiness(Duration::from_secs(1)).await,
            None => None,
        };
        if let Some(readiness) = answer.filter(|readiness| readiness.ready) {
            return readiness.generation;
        }
        // A connection that broke meanwhile is made anew by the next question.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn hide_store(stage: &Stage, pause: Duration) -> Result<StepEvent, RehearsalError> {
    let place = &stage.place.directory;
    let mut hidden = place.clone().into_os_string();
    hidden.push(".hidden");
    let hidden = PathBuf::from(hidden);
    let cannot = |error| RehearsalError::file("move", place, error);
    std::fs::rename(place, &hidden).map_err(cannot)?;
    tokio::time::sleep(pause).await;
    // A gateway must not have made a place of its own there.
    let empty = !place.exists();
    let back = std::fs::rename(&hidden, place).map_err(cannot);
    if !empty {
        return Ok(StepEvent::Failed("somebody made another store in its place".to_owned()));
    }
    back?;
    let did = format!("the store was out of reach for {}", briefly(pause));
    Ok(StepEvent::Done { did, measured: String::new() })
}
