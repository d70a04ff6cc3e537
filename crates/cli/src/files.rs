//! Files that the operator names: read within a limit.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
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

/// Writes a secret for its owner alone, in place of what stood there: readers see the old or the new.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| {
        Failure::new(Exit::Other, format!("cannot write {}", path.display())).because(Some(&error))
    };
    let Some(name) = path.file_name() else {
        return Err(Failure::usage(format!("{} cannot be a file", path.display())));
    };
    // To replace a device or a pipe would be to take it away from everybody else.
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        return Err(Failure::new(Exit::Other, format!("{} is not a regular file", path.display()))
            .expected("a file to write, or to replace"));
    }
    let new = path.with_file_name(format!(".{}.new-{}", name.to_string_lossy(), std::process::id()));
    let written = write_new(&new, text, 0o600).and_then(|()| std::fs::rename(&new, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&new);
        cannot(error)
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
        return Failure::new(Exit::Other, format!("there is no file {}", path.display()))
            .expected("the name of a file that exists");
    }
    Failure::new(Exit::Other, format!("cannot read {}", path.display()))
        .because(Some(error))
        .expected("a file that can be read")
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
