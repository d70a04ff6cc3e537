//! Takes in every event, one after the other: events -> record -> view.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::event::Event;
use crate::record::Record;
use crate::view::View;

/// How often the view may draw.
const FRAME: Duration = Duration::from_millis(125);

/// Records until the run has ended, and lets `view` show it meanwhile.
pub(crate) async fn record(
    mut record: Record,
    mut events: mpsc::UnboundedReceiver<Event>,
    view: &mut dyn View,
) -> Record {
    let mut frames = tokio::time::interval(FRAME);
    frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                record.apply(&event);
                view.event(&event, &record);
                if matches!(event, Event::Ended { .. }) {
                    break;
                }
            }
            _ = frames.tick() => view.frame(&record),
        }
    }
    view.ends(&record);
    record
}
