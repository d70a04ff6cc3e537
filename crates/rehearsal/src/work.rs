//! The directory of one run: keyring, certificates, token files.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::RehearsalError;

/// The directory of one run. Removed with everything in it when dropped, unless it is to be kept.
#[derive(Debug)]
pub(crate) struct WorkDir {
    path: PathBuf,
    keep: bool,
}

impl WorkDir {
    /// Makes `keystile-rehearsal-…` in `parent`, mode 0700.
    pub(crate) fn make(parent: &Path, label: u64, keep: bool) -> Result<Self, RehearsalError> {
        let path = parent.join(format!("keystile-rehearsal-{}-{label:012x}", std::process::id()));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| RehearsalError::file("make the directory", &path, error))?;
        Ok(Self { path, keep })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in it.
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a directory in it.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf, RehearsalError> {
        let path = self.join(name);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| RehearsalError::file("make the directory", &path, error))?;
        Ok(path)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if !self.keep {
            // Nobody is left to tell.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Writes a file of mode 0600 in place of what may be there: readers see the old or the new.
pub(crate) fn write_secret(path: &Path, content: &str) -> Result<(), RehearsalError> {
    let fresh = path.with_extension("new");
    let write = || {
        let _ = fs::remove_file(&fresh);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(content.as_bytes())?;
        fs::rename(&fresh, path)
    };
    write().map_err(|error| RehearsalError::file("write", path, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_goes_when_it_is_dropped_unless_kept() {
        let parent = tempfile::tempdir().expect("a directory");
        for keep in [false, true] {
            let work = WorkDir::make(parent.path(), 7, keep).expect("made");
            let path = work.path.clone();
            write_secret(&work.directory("a").expect("made").join("b"), "c").expect("written");
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            drop(work);
            assert_eq!(path.exists(), keep);
        }
    }

    #[test]
    fn a_secret_is_replaced_whole_and_is_nobody_elses() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("token");
        for content in ["first", "second"] {
            write_secret(&path, content).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("there"), content);
        }
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(write_secret(&parent.path().join("no/such"), "x").is_err());
    }
}
