//! Small files: read whole within a bound, replaced whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The system refused.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// A directory, a pipe, a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// Larger than expected.
    #[error("it has more than {max} bytes")]
    TooLarge {
        /// The bound in bytes.
        max: usize,
    },
    /// Not UTF-8.
    #[error("it is not text")]
    NotText,
}

/// Reads a text of at most `max` bytes, off the runtime's threads.
pub(crate) async fn read(path: &Path, max: usize) -> Result<String, ReadError> {
    let path = path.to_owned();
    off_thread(move || read_now(&path, max)).await?
}

fn read_now(path: &Path, max: usize) -> Result<String, ReadError> {
    // A pipe would block the thread for ever: look before opening.
    if !fs::metadata(path)?.is_file() {
        return Err(ReadError::NotAFile);
    }
    let mut bytes = Vec::new();
    let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(bound).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(ReadError::TooLarge { max });
    }
    String::from_utf8(bytes).map_err(|_| ReadError::NotText)
}

/// Replaces `path` by a file of mode 0600 with `content`: a reader sees the old or the new whole, and so does
/// who starts after a crash.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // To replace a device or a pipe would be to take it away from everybody else.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let temporary = temporary_name(path)?;
    let written = write_new(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
        return written;
    }
    File::open(directory_of(path))?.sync_all()
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A name beside `path` that no other writer uses: two that share one could publish each other's halves.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = temporary_prefix(path)?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    name.push(format!("{}-{count}{TEMPORARY_SUFFIX}", std::process::id()));
    Ok(path.with_file_name(name))
}

const TEMPORARY_SUFFIX: &str = ".tmp";

fn temporary_prefix(path: &Path) -> io::Result<OsString> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    Ok(prefix)
}

/// Removes what writers of `path` that were killed have left: it may hold tokens. A living writer whose file
/// this takes fails and tries again.
pub(crate) async fn remove_leftovers(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    off_thread(move || {
        let prefix = temporary_prefix(&path)?;
        for entry in fs::read_dir(directory_of(&path))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if name.starts_with(prefix.as_encoded_bytes()) && name.ends_with(TEMPORARY_SUFFIX.as_bytes()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    })
    .await?
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Removes `path` if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Does blocking work off the runtime's threads.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| io::Error::other("the file worker was stopped"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("place");
        fs::create_dir(&place).unwrap();
        assert_eq!(replace(&place, b"token").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(fs::metadata(&place).unwrap().is_dir());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_file_is_read_within_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "12345678").unwrap();
        assert_eq!(read(&path, 8).await.unwrap(), "12345678");
        assert!(matches!(read(&path, 7).await, Err(ReadError::TooLarge { max: 7 })));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(read(&path, 8).await, Err(ReadError::NotText)));
        assert!(matches!(read(directory.path(), 8).await, Err(ReadError::NotAFile)));
        assert!(matches!(read(&directory.path().join("missing"), 8).await, Err(ReadError::Io(_))));
    }

    /// Opening a pipe that nobody writes to would never return.
    #[tokio::test]
    async fn a_pipe_is_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let status = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(status.success());
        assert!(matches!(read(&path, 8).await, Err(ReadError::NotAFile)));
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        // A directory cannot be replaced by a file.
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(replace(Path::new("/"), b"new").is_err());
    }

    #[tokio::test]
    async fn only_leftovers_of_that_file_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let keep = ["token", ".token", ".token.bak", ".token2.1-1.tmp", "token.1-1.tmp"];
        for name in keep.iter().chain(&[".token.1-1.tmp", ".token.99-0.tmp"]) {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        remove_leftovers(&path).await.unwrap();
        let entries = fs::read_dir(directory.path()).unwrap();
        let mut left: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        let mut expected = keep;
        expected.sort_unstable();
        assert_eq!(left, expected);
    }
}
