//! A directory to keep a store in.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests assert")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystile_store::DirectoryStore;
use keystile_store::conformance::START;
use keystile_store::directory::Options;
use keystile_testkit::ManualClock;

/// A place for a store, which is not there yet, and a clock.
pub(crate) struct Directory {
    around: Around,
    pub(crate) clock: ManualClock,
}

enum Around {
    Made(tempfile::TempDir),
    Given(PathBuf),
}

impl Directory {
    /// In memory where the system has such a place: thousands of calls that make files durable would
    /// take minutes on a disk.
    pub(crate) fn new() -> Self {
        match tempfile::tempdir_in("/dev/shm") {
            Ok(made) => Self { around: Around::Made(made), clock: ManualClock::at(START) },
            Err(_) => Self::on_disk(),
        }
    }

    pub(crate) fn on_disk() -> Self {
        Self { around: Around::Made(tempfile::tempdir().unwrap()), clock: ManualClock::at(START) }
    }

    /// One that another process made.
    pub(crate) fn at(around: impl Into<PathBuf>) -> Self {
        Self { around: Around::Given(around.into()), clock: ManualClock::at(START) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.around().join("ring")
    }

    pub(crate) fn around(&self) -> &Path {
        match &self.around {
            Around::Made(made) => made.path(),
            Around::Given(path) => path,
        }
    }

    pub(crate) fn store(&self) -> DirectoryStore {
        self.store_with(Options::default())
    }

    pub(crate) fn store_with(&self, options: Options) -> DirectoryStore {
        DirectoryStore::with(self.path(), Arc::new(self.clock.clone()), options).unwrap()
    }

    /// Writes plain files into it as OpenShell does.
    pub(crate) fn put_files(&self, files: &[(&str, &[u8])]) {
        std::fs::create_dir_all(self.path()).unwrap();
        for (name, bytes) in files {
            write(&self.path().join(name), 0o600, bytes);
        }
    }

    /// Every regular file in and beside it, by path.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        walk(self.around(), &mut found);
        found.sort();
        found
    }

    /// The names in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.path())
    }

    /// The directories of generations in it, sorted.
    pub(crate) fn generations(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| name.starts_with("..g")).collect()
    }
}

pub(crate) fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn write(path: &Path, mode: u32, bytes: &[u8]) {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

pub(crate) fn mode_of(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn walk(directory: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            walk(&entry.path(), found);
        } else if kind.is_file() {
            found.push((entry.path(), std::fs::read(entry.path()).unwrap()));
        }
    }
}
