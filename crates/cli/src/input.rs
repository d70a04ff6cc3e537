//! What is read from an argument, a file or standard input.

use std::path::Path;
use std::sync::PoisonError;

use crate::app::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// No token is longer; a file may hold a little space around it.
const TOKEN_BYTES: u64 = 16 * 1024;

/// A token: `-` is standard input, the name of a file is the file, anything else is the token.
pub(crate) fn token(app: &App, given: &str) -> Result<Vec<u8>, Failure> {
    let bytes = match given {
        "-" => stdin(app, TOKEN_BYTES)?,
        path if Path::new(path).is_file() => files::read(Path::new(path), TOKEN_BYTES)?,
        token => token.as_bytes().to_vec(),
    };
    Ok(bytes.trim_ascii().to_vec())
}

/// All of standard input, at most `most` bytes.
pub(crate) fn stdin(app: &App, most: u64) -> Result<Vec<u8>, Failure> {
    let mut stdin = app.world.stdin.lock().unwrap_or_else(PoisonError::into_inner);
    files::read_from(&mut *stdin, most)
        .map_err(|error| Failure::new(Exit::Other, "cannot read standard input").because(Some(&error)))
}
