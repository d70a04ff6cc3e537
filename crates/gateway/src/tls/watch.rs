//! Reading the certificates again when their files change.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::Watcher;
use tokio::sync::Notify;

use super::files::Contents;
use super::{Tls, TlsError};
use crate::metrics::Metrics;
use keystile_replica::chain;

/// How often the files are read though nothing was notified: some file systems notify nobody.
const POLL: Duration = Duration::from_secs(5);

/// How long a burst of changes is left to settle: certificate and key are two files.
const SETTLE: Duration = Duration::from_millis(50);

/// Reads the files when they change, for ever. A bad new file keeps the certificates in force.
pub(crate) async fn keep_current(tls: Arc<Tls>, metrics: Arc<Metrics>) {
    let changed = Arc::new(Notify::new());
    let _watcher = watch(&tls, Arc::clone(&changed));
    let mut seen = tls.opened.clone();
    // Whether what was seen is in force.
    let mut good = true;
    loop {
        match read(&tls).await {
            Ok(contents) if contents.fingerprint() == seen => {
                if good {
                    calm(&tls, &metrics);
                }
            }
            Ok(contents) => {
                good = put_in_force(&tls, &contents, &metrics);
                seen = contents.fingerprint();
            }
            Err(error) => complain(&tls, &error, &metrics),
        }
        tokio::select! {
            () = changed.notified() => tokio::time::sleep(SETTLE).await,
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Whether they could be.
fn put_in_force(tls: &Tls, contents: &Contents, metrics: &Metrics) -> bool {
    match contents.server_config(tls.files.client_certificates) {
        Ok(config) => {
            tls.current.store(Arc::new(config));
            calm(tls, metrics);
            metrics.tls_reloads.inc();
            tracing::info!(certificate = %tls.files.cert.display(), "TLS certificates changed");
            true
        }
        Err(error) => {
            complain(tls, &error, metrics);
            false
        }
    }
}

/// The files as they are now are in force.
fn calm(tls: &Tls, metrics: &Metrics) {
    tls.trouble.store(None);
    metrics.tls_stale.set(0);
}

/// Says once what is wrong, however often it is seen, and shows it for as long as it is.
fn complain(tls: &Tls, error: &TlsError, metrics: &Metrics) {
    let why = chain(error);
    if tls.trouble.load().as_deref() != Some(&why) {
        metrics.tls_reload_failures.inc();
        tracing::error!(%why, "changed TLS files are not usable; the certificates in force stay");
        tls.trouble.store(Some(Arc::new(why)));
        metrics.tls_stale.set(1);
    }
}

async fn read(tls: &Arc<Tls>) -> Result<Contents, TlsError> {
    let tls = Arc::clone(tls);
    let path = tls.files.cert.clone();
    tokio::task::spawn_blocking(move || Contents::read(&tls.files))
        .await
        .unwrap_or_else(|error| Err(TlsError::Unreadable { path, source: std::io::Error::other(error) }))
}

/// Watches the directories, not the files: editors and kubelet replace files, and a watch on a
/// replaced file sees nothing any more.
fn watch(tls: &Tls, changed: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let wake = move |_: notify::Result<notify::Event>| changed.notify_one();
    let mut watcher = notify::recommended_watcher(wake)
        .map_err(|error| tracing::warn!(%error, "no notification of TLS file changes; polling"))
        .ok()?;
    let directories: BTreeSet<&Path> = tls.files.paths().filter_map(|path| path.parent()).collect();
    for directory in directories {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        if let Err(error) = watcher.watch(directory, notify::RecursiveMode::NonRecursive) {
            tracing::warn!(%error, directory = %directory.display(), "TLS files are only polled");
        }
    }
    Some(watcher)
}
