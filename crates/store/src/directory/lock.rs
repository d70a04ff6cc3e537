//! One writer at a time.

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::fs::OFlags;

use super::names::LOCK;
use super::place::Place;
use crate::{CommitError, FileError, StoreError};

/// Held while the store is being changed; released on drop, and by the system if the process dies.
pub(super) struct Lock {
    file: File,
}

/// Why the lock was not got.
pub(super) enum LockError {
    /// Somebody holds it.
    Held {
        /// Who, in its own words.
        by: String,
    },
    /// The lock file is of no use.
    File(FileError),
}

impl Lock {
    /// Takes the lock in order to do `what`, waiting at most `wait` for whoever holds it.
    pub(super) fn acquire(place: &Place, what: &str, wait: Duration) -> Result<Self, LockError> {
        const PAUSE: Duration = Duration::from_millis(10);
        let file = place.create_open(LOCK, 0o600, OFlags::RDWR).map_err(LockError::File)?;
        let failed =
            |doing, error: io::Error| LockError::File(FileError::new(doing, place.path().join(LOCK), error));
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if waited < wait => {
                    std::thread::sleep(PAUSE);
                    waited += PAUSE;
                }
                Err(TryLockError::WouldBlock) => return Err(LockError::Held { by: holder(&file) }),
                Err(TryLockError::Error(error)) => return Err(failed("lock", error)),
            }
        }
        let lock = Self { file };
        let line = format!("process {} ({what})\n", std::process::id());
        lock.file
            .set_len(0)
            .and_then(|()| lock.file.write_all_at(line.as_bytes(), 0))
            .map_err(|e| failed("write", e))?;
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only for the eyes of whoever looks: the lock itself goes with the file handle.
        let _ = self.file.set_len(0);
    }
}

/// What the holder wrote, made safe to print.
fn holder(file: &File) -> String {
    let mut text = Vec::new();
    let _ = file.take(160).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let text: String = text.trim().chars().filter(|char| char.is_ascii_graphic() || *char == ' ').collect();
    if text.is_empty() { "another process".to_owned() } else { text }
}

impl From<LockError> for CommitError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { by } => Self::Locked { by },
            LockError::File(error) => Self::Io(error),
        }
    }
}

impl From<LockError> for StoreError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { by } => Self::Locked { by },
            LockError::File(error) => Self::Io(error),
        }
    }
}
