//! When the system asks the process to stop.

use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::failure::Failure;

/// Listens for SIGTERM and SIGINT from now on; the future is done when one has come.
pub(crate) fn stop() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let listen = |kind| {
        signal(kind)
            .map_err(|error| Failure::new(Exit::Other, "cannot listen to signals").because(Some(&error)))
    };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
