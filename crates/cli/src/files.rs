//! Files that the operator names: read within a limit.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::exit::Exit;
use crate::failure::Failure;

/// All bytes of a file, at most `most` of them.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
    read_from(file, most).map_err(|error| cannot_read(path, &error))
}

/// All of a text file, at most `most` bytes of it.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<String, Failure> {
    let bytes = read(path, most)?;
    String::from_utf8(bytes).map_err(|_| Failure::new(Exit::Other, format!("{} is not text", path.display())))
}

/// All bytes of `source`, at most `most` of them.
pub(crate) fn read_from(source: impl Read, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let why = format!("it has more than {most} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// Who may enter the directories that [`make_directory`] makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Their owner alone: a secret lies in them.
    Owner,
    /// Whom the umask lets in.
    Usual,
}

/// Makes a directory that the operator named, with those above it, where they are missing.
pub(crate) fn make_directory(directory: &Path, entry: Entry) -> Result<(), Failure> {
    if directory.as_os_str().is_empty() {
        return Ok(());
    }
    let mode = if entry == Entry::Owner { 0o700 } else { 0o777 };
    DirBuilder::new().recursive(true).mode(mode).create(directory).map_err(|error| {
        let shown = directory.display();
        if directory.exists() {
            return Failure::new(Exit::Other, format!("{shown} is not a directory"))
                .expected("a directory, or a name that is free for one");
        }
        Failure::new(Exit::Other, format!("there is no directory {shown}, and it cannot be made"))
            .because(Some(&error))
            .expected("a directory, or a place where one can be made")
    })
}

/// Makes the directory that `file` is to lie in, where it is missing.
pub(crate) fn make_parent(file: &Path, entry: Entry) -> Result<(), Failure> {
    file.parent().map_or(Ok(()), |directory| make_directory(directory, entry))
}

/// Writes a file that people read, in place of what stood there, and the directory it lies in where that is missing.
pub(crate) fn write_page(path: &Path, page: impl AsRef<[u8]>) -> Result<(), Failure> {
    make_parent(path, Entry::Usual)?;
    std::fs::write(path, page).map_err(|error| cannot_write(path, &error))
}

/// That a file that the operator named cannot be written.
pub(crate) fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Other, format!("cannot write {}", path.display()))
        .because(Some(error))
        .expected("a file that can be written, in a directory that can")
}

/// Writes a secret for its owner alone, in place of what stood there: readers see the old or the new. The directory
/// it lies in is made where it is missing, for the owner alone.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let Some(name) = path.file_name() else {
        return Err(Failure::usage(format!("{} cannot be a file", path.display())));
    };
    // To replace a device or a pipe would be to take it away from everybody else.
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        return Err(Failure::new(Exit::Other, format!("{} is not a regular file", path.display()))
            .expected("a file to write, or to replace"));
    }
    make_parent(path, Entry::Owner)?;
    let new = path.with_file_name(format!(".{}.new-{}", name.to_string_lossy(), std::process::id()));
    let written = write_new(&new, text, 0o600).and_then(|()| std::fs::rename(&new, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&new);
        cannot_write(path, &error)
    })
}

/// Writes a file that must not exist yet, durably.
pub(crate) fn write_new(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::NotFound {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        return Failure::new(Exit::Other, format!("there is no file {}", path.display()))
            .expected("the name of a file that exists")
            .remedy(format!("ls {}", directory.unwrap_or(Path::new(".")).join("").display()));
    }
    Failure::new(Exit::Other, format!("cannot read {}", path.display()))
        .because(Some(error))
        .expected("a file that can be read")
        .remedy(format!("ls -ld {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_its_owners_and_replaces_what_was_there() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        std::fs::write(&path, "old").expect("written");
        write_secret(&path, "new").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "new");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_missing_directory_is_made_and_a_secrets_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let (secret, page) = (directory.path().join("a/b/token"), directory.path().join("c/d/page.html"));
        write_secret(&secret, "new").expect("written");
        write_page(&page, "new").expect("written");
        let mode = |name: &str| directory.path().join(name).metadata().expect("there").permissions().mode();
        assert_eq!((mode("a") & 0o777, mode("a/b") & 0o777), (0o700, 0o700));
        assert_ne!(mode("c/d") & 0o777, 0o700, "the umask says who may read a page");
        std::fs::write(directory.path().join("file"), "").expect("written");
        let below = directory.path().join("file/e/token");
        for text in
            [write_secret(&below, "new"), write_page(&below, "new")].map(|no| no.expect_err("no").text())
        {
            let named = format!("there is no directory {}/file/e, and", directory.path().display());
            assert!(text.contains(&named), "{text}");
        }
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("it runs");
        assert!(made.success());
        for path in [&pipe, &directory.path().to_owned()] {
            let text = write_secret(path, "new").expect_err("refused").text();
            assert!(text.contains("is not a regular file"), "{text}");
        }
        assert!(!pipe.metadata().expect("there").is_file());
    }

    #[test]
    fn a_limit_is_a_limit() {
        assert_eq!(read_from(&b"abc"[..], 3).expect("within"), b"abc");
        assert_eq!(read_from(&b"abcd"[..], 3).expect_err("beyond").to_string(), "it has more than 3 bytes");
    }
}
