//! An open directory. Every call names a file relative to it, so that what is read or changed
//! belongs together even when the path comes to mean another directory meanwhile.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::steps::{Call, Steps};
use keystile_keyring::UnixTime;

use crate::{FileError, LoadError};

/// Permission bits of directories.
const DIRECTORY_MODE: u32 = 0o700;
/// Of what is in a directory with this bit, only the owner may replace an entry.
const STICKY: u32 = 0o1000;
/// Entries of a directory that are looked at.
const MOST_ENTRIES: usize = 65_536;

/// An open directory.
pub(super) struct Place {
    fd: OwnedFd,
    path: PathBuf,
    steps: Arc<dyn Steps>,
    owner: Option<(rustix::fs::Uid, rustix::fs::Gid)>,
}

/// Tells one directory from another that comes to have its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// A file's content and what the file system says of it.
pub(super) struct Content {
    /// Its bytes, cut off one byte after the limit.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Its permission bits.
    pub(super) mode: u32,
    /// When it was last written, in seconds of the file system's clock.
    pub(super) modified: i64,
}

impl Place {
    /// Opens the directory at `path`.
    pub(super) fn open(path: &Path, steps: &Arc<dyn Steps>) -> Result<Self, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| FileError::new("open", path, error))?;
        let owner = owner_to_keep(&fd).map_err(|error| FileError::new("inspect", path, error))?;
        Ok(Self { fd, path: path.to_owned(), steps: Arc::clone(steps), owner })
    }

    /// Opens it, and makes it first, with its parents, where it is not there.
    pub(super) fn open_or_make(path: &Path, steps: &Arc<dyn Steps>) -> Result<Self, FileError> {
        match (Self::open(path, steps), path.parent(), path.file_name().and_then(OsStr::to_str)) {
            (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
                let parent = Self::open_or_make(parent, steps)?;
                let made = parent.make(name);
                parent.sync()?;
                match made {
                    // Somebody else was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => parent.enter(name),
                    made => made,
                }
            }
            (opened, ..) => opened,
        }
    }

    /// Opens a directory in it; `name` may be a link, which is resolved once.
    pub(super) fn enter(&self, name: &str) -> Result<Self, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .map_err(|error| self.failed("open", name, error))?;
        let path = self.path.join(name);
        Ok(Self { fd, path, steps: Arc::clone(&self.steps), owner: self.owner })
    }

    /// What is created belongs to the owner of `other`, as far as it would there.
    pub(super) fn owned_like(mut self, other: &Self) -> Self {
        self.owner = other.owner;
        self
    }

    /// Its path, as it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Which directory it is.
    pub(super) fn identity(&self) -> Result<Identity, FileError> {
        let stat =
            rustix::fs::fstat(&self.fd).map_err(|error| FileError::new("inspect", &self.path, error))?;
        Ok(Identity::of(&stat))
    }

    /// Which directory `name` leads to at this moment; `None` if to none.
    pub(super) fn identity_of(&self, name: &str) -> Result<Option<Identity>, FileError> {
        Ok(self.stat(name, AtFlags::empty())?.map(|stat| Identity::of(&stat)))
    }

    /// When an entry was last written, by the file system's clock; `None` if there is no such entry.
    pub(super) fn modified(&self, name: &str) -> Result<Option<UnixTime>, FileError> {
        let stat = self.stat(name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(stat.map(|stat| UnixTime(u64::try_from(stat.st_mtime).unwrap_or_default())))
    }

    /// Fails where others than the owner may replace what is in it, and so the keys. A sticky directory, as kubelet
    /// mounts it, is none: there, only an entry's owner may.
    pub(super) fn guarded(&self) -> Result<(), LoadError> {
        match self.written_by_others()? {
            Some(mode) if mode & STICKY == 0 => {
                Err(LoadError::DirectoryMode { path: self.path.clone(), mode })
            }
            _ => Ok(()),
        }
    }

    /// Fails where others than the owner may put anything: what is to be changed is not theirs to add to. No
    /// sticky directory is one's own; kubelet's mounts are not changed through the mount.
    pub(super) fn owners_alone(&self) -> Result<(), LoadError> {
        self.guarded()?;
        match self.written_by_others()? {
            Some(mode) => Err(LoadError::DirectoryShared { path: self.path.clone(), mode }),
            None => Ok(()),
        }
    }

    /// The permission bits, if group or others may write.
    fn written_by_others(&self) -> Result<Option<u32>, FileError> {
        const OTHERS_WRITE: u32 = 0o022;
        let stat =
            rustix::fs::fstat(&self.fd).map_err(|error| FileError::new("inspect", &self.path, error))?;
        let mode = stat.st_mode & 0o7777;
        Ok((mode & OTHERS_WRITE != 0).then_some(mode))
    }

    /// Whether there is anything of that name, a dangling link included.
    pub(super) fn has(&self, name: &str) -> Result<bool, FileError> {
        Ok(self.stat(name, AtFlags::SYMLINK_NOFOLLOW)?.is_some())
    }

    /// Whether there is a regular file of that name, and not a link to one.
    pub(super) fn has_file(&self, name: &str) -> Result<bool, FileError> {
        let stat = self.stat(name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile))
    }

    fn stat(&self, name: &str, flags: AtFlags) -> Result<Option<Stat>, FileError> {
        match rustix::fs::statat(&self.fd, name, flags) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed("inspect", name, error)),
        }
    }

    /// Where the link of that name points to; `None` if there is no link.
    pub(super) fn link(&self, name: &str) -> Result<Option<String>, FileError> {
        match rustix::fs::readlinkat(&self.fd, name, Vec::new()) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => Err(self.failed("read", name, error)),
        }
    }

    /// The names in it, sorted; what is not UTF-8 is none of ours and left out, and a directory of
    /// more than [`MOST_ENTRIES`] is refused.
    pub(super) fn names(&self) -> Result<Vec<String>, FileError> {
        let failed = |error: Errno| FileError::new("list", &self.path, error);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if names.len() == MOST_ENTRIES {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "too many entries");
                return Err(FileError::new("list", &self.path, error));
            }
            if let Some(name) = listed(entry.file_name()) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Reads a regular file, at most one byte more than `limit`; `None` if there is none.
    pub(super) fn read(&self, name: &str, limit: usize, follow: bool) -> Result<Option<Content>, FileError> {
        // Non-blocking, so that a pipe of that name cannot hold the reader up.
        let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        flags.set(OFlags::NOFOLLOW, !follow);
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.failed("open", name, error)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|error| self.failed("inspect", name, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(self.failed("read", name, error));
        }
        // Reserved whole: a buffer that grows would leave copies of a key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(limit.saturating_add(1)));
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let read = File::from(fd).take(most).read_to_end(&mut bytes);
        read.map_err(|error| self.failed("read", name, error))?;
        Ok(Some(Content { bytes, mode: stat.st_mode & 0o7777, modified: stat.st_mtime }))
    }

    /// Makes a directory, for its owner only.
    pub(super) fn make(&self, name: &str) -> Result<Self, FileError> {
        self.step(Call::MakeDirectory, name, "make")?;
        rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(DIRECTORY_MODE))
            .map_err(|error| self.failed("make", name, error))?;
        let made = self.enter(name)?;
        made.hand_over(&made.fd).map_err(|error| self.failed("give away", name, error))?;
        Ok(made)
    }

    /// Creates a file with exactly these permission bits (less the process's umask), writes it and
    /// makes it durable.
    pub(super) fn create(&self, name: &str, mode: u32, bytes: &[u8]) -> Result<(), FileError> {
        let file = self.create_fast(name, mode, bytes)?;
        self.step(Call::Sync, name, "sync")?;
        file.sync_all().map_err(|error| self.failed("sync", name, error))
    }

    /// The same without making it durable.
    pub(super) fn create_fast(&self, name: &str, mode: u32, bytes: &[u8]) -> Result<File, FileError> {
        let mut file = self.create_open(name, mode, OFlags::WRONLY | OFlags::EXCL)?;
        self.step(Call::Write, name, "write")?;
        file.write_all(bytes).map_err(|error| self.failed("write", name, error))?;
        Ok(file)
    }

    /// Opens a file, creating it where it is not there.
    pub(super) fn create_open(&self, name: &str, mode: u32, flags: OFlags) -> Result<File, FileError> {
        self.step(Call::Create, name, "create")?;
        let flags = flags | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(mode))
            .map_err(|error| self.failed("create", name, error))?;
        self.hand_over(&fd).map_err(|error| self.failed("give away", name, error))?;
        Ok(File::from(fd))
    }

    /// Makes its entries durable.
    pub(super) fn sync(&self) -> Result<(), FileError> {
        let failed = |error| FileError::new("sync", &self.path, error);
        self.steps.before(Call::Sync, &self.path).map_err(failed)?;
        rustix::fs::fsync(&self.fd).map_err(|error| failed(error.into()))
    }

    /// Makes a link.
    pub(super) fn make_link(&self, name: &str, target: &str) -> Result<(), FileError> {
        self.step(Call::Link, name, "link")?;
        rustix::fs::symlinkat(target, &self.fd, name).map_err(|error| self.failed("link", name, error))
    }

    /// Renames an entry over whatever has the new name.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        self.step(Call::Rename, to, "replace")?;
        rustix::fs::renameat(&self.fd, from, &self.fd, to).map_err(|error| self.failed("replace", to, error))
    }

    /// Removes a file or link; `false` if there is none.
    pub(super) fn remove(&self, name: &str) -> Result<bool, FileError> {
        self.remove_with(name, AtFlags::empty())
    }

    /// Removes an empty directory; `false` if there is none.
    pub(super) fn remove_directory(&self, name: &str) -> Result<bool, FileError> {
        self.remove_with(name, AtFlags::REMOVEDIR)
    }

    fn remove_with(&self, name: &str, flags: AtFlags) -> Result<bool, FileError> {
        if !self.has(name)? {
            return Ok(false);
        }
        self.step(Call::Remove, name, "remove")?;
        match rustix::fs::unlinkat(&self.fd, name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(self.failed("remove", name, error)),
        }
    }

    /// Whether this process may create and replace files in it.
    pub(super) fn writable(&self) -> Result<(), FileError> {
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::accessat(&self.fd, ".", access, AtFlags::EACCESS)
            .map_err(|error| FileError::new("write to", &self.path, error))
    }

    fn step(&self, call: Call, name: &str, doing: &'static str) -> Result<(), FileError> {
        let path = self.path.join(name);
        self.steps.before(call, &path).map_err(|error| FileError::new(doing, path, error))
    }

    fn hand_over(&self, fd: &OwnedFd) -> rustix::io::Result<()> {
        self.owner.map_or(Ok(()), |(user, group)| rustix::fs::fchown(fd, Some(user), Some(group)))
    }

    fn failed(&self, doing: &'static str, name: &str, error: impl Into<io::Error>) -> FileError {
        FileError::new(doing, self.path.join(name), error)
    }
}

impl Identity {
    fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// An operator who runs as root must not leave files that the gateway, the directory's owner, cannot
/// read: then what is created is given to the owner.
fn owner_to_keep(fd: &OwnedFd) -> rustix::io::Result<Option<(rustix::fs::Uid, rustix::fs::Gid)>> {
    let stat = rustix::fs::fstat(fd)?;
    let (user, group) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
    Ok((rustix::process::geteuid().is_root() && !user.is_root()).then_some((user, group)))
}

fn listed(name: &CStr) -> Option<&str> {
    name.to_str().ok().filter(|name| !matches!(*name, "." | ".."))
}
