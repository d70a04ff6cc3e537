//! The old way under the same load: delete the key, restart every gateway.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::contrast::Contrast;
use crate::error::RehearsalError;
use crate::event::Event;
use crate::record::Record;
use crate::recorder;
use crate::scale;
use crate::script::Script;
use crate::settings::Settings;
use crate::stage::{Means, Stage, start_all};
use crate::view::{Blind, View};
use keystile_picture::briefly;

/// How long the load runs before the key is deleted.
const BEFORE: Duration = Duration::from_secs(3);

/// Puts the load of `settings` on delete-and-restart.
pub(crate) async fn run(
    settings: &Settings,
    means: &Means,
    view: &mut dyn View,
) -> Result<Contrast, RehearsalError> {
    let life = if settings.policy.token_ttl == 0 { scale::USUAL_TTL } else { settings.policy.token_ttl };
    // Long enough for every token of the old key to end.
    let watched = Duration::from_secs(life + settings.policy.leeway + 3);
    let (script, ends_at) = (Script::default(), BEFORE + watched);
    let settings = Settings { script, ends_at, soak: false, ..settings.clone() };
    view.says("For comparison, the same load while the key is deleted and every gateway restarted:");

    let (events, received) = mpsc::unbounded_channel();
    let stage = Arc::new(Stage::set(settings.clone(), means, "baseline-", false, events).await?);
    let record = Record::new(settings, stage.field.clock.epoch());
    let procedure = async {
        let mut playing = stage.play();
        tokio::time::sleep(BEFORE).await;
        let restarted = delete_and_restart(&stage).await;
        if restarted.is_ok() {
            tokio::time::sleep(watched).await;
        }
        playing.shutdown().await;
        stage.field.tell(Event::Ended { at: stage.field.clock.moment() });
        stage.close().await;
        restarted
    };
    let mut blind = Blind;
    let (record, restarted) = tokio::join!(recorder::record(record, received, &mut blind), procedure);
    let took = restarted?;
    let contrast = Contrast::of(&record, watched);
    view.says(&format!("  restarted in {}: {}; {}", briefly(took), contrast.rejections(), contrast.gaps()));
    Ok(contrast)
}

/// What the runbooks say today. How long no gateway ran.
async fn delete_and_restart(stage: &Stage) -> Result<Duration, RehearsalError> {
    let fleet = &stage.field.fleet;
    let began = stage.field.clock.moment();
    for name in fleet.names() {
        fleet.stop(name).await;
    }
    let place = &stage.place;
    std::fs::remove_dir_all(&place.directory)
        .map_err(|error| RehearsalError::file("remove", &place.directory, error))?;
    std::fs::remove_file(&place.witness)
        .map_err(|error| RehearsalError::file("remove", &place.witness, error))?;
    stage.begin_anew().await?;
    start_all(fleet).await?;
    Ok(stage.field.clock.moment().since(began))
}
