//! The seam where a test makes the file system fail.

use std::io;
use std::path::Path;

/// A call that changes the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Make a directory.
    MakeDirectory,
    /// Create a file.
    Create,
    /// Write its content.
    Write,
    /// Make a file or directory durable.
    Sync,
    /// Make a symbolic link.
    Link,
    /// Rename.
    Rename,
    /// Remove a file or directory.
    Remove,
}

/// Asked before each call that changes the file system. An error takes the place of the call: one
/// error is a full disk, errors from some call on are a crash.
pub trait Steps: Send + Sync + 'static {
    /// Called before `call` on `path`.
    fn before(&self, call: Call, path: &Path) -> io::Result<()>;
}

/// Nothing interferes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Undisturbed;

impl Steps for Undisturbed {
    fn before(&self, _: Call, _: &Path) -> io::Result<()> {
        Ok(())
    }
}
