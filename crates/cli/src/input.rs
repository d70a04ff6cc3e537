//! What is read from an argument, a file or standard input.

use std::path::Path;
use std::sync::PoisonError;

use crate::app::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// No token is longer; a file may hold a little space around it.
const TOKEN_BYTES: u64 = 16 * 1024;

/// A token: see [`named`].
pub(crate) fn token(app: &App, given: &str) -> Result<Vec<u8>, Failure> {
    let token = named(app, given, TOKEN_BYTES)?;
    // Three parts, whatever is in them: anything else is a file's name that was mistyped.
    if is_itself(given) && given.matches('.').count() != 2 {
        return Err(no_file(given, "a token")
            .expected("a token, the name of a file that holds one, or - for standard input"));
    }
    Ok(token)
}

/// There is no file of this name, nor is it the thing itself.
pub(crate) fn no_file(given: &str, what: &str) -> Failure {
    let shown: String = given.chars().take(64).collect();
    Failure::usage(format!("there is no file {shown:?}, and that is not {what} either"))
}

/// Whether `given` is taken for the thing itself: see [`named`].
pub(crate) fn is_itself(given: &str) -> bool {
    given != "-" && !given.contains('/') && !Path::new(given).is_file()
}

/// What `given` names, less the space around it: `-` is standard input, the name of a file is the file, and so
/// is whatever holds a `/`, which no token does; anything else is the thing itself.
pub(crate) fn named(app: &App, given: &str, most: u64) -> Result<Vec<u8>, Failure> {
    let path = Path::new(given);
    let bytes = match given {
        "-" => stdin(app, most)?,
        itself if is_itself(itself) => itself.as_bytes().to_vec(),
        _ => files::read(path, most)?,
    };
    Ok(bytes.trim_ascii().to_vec())
}

/// All of standard input, at most `most` bytes.
fn stdin(app: &App, most: u64) -> Result<Vec<u8>, Failure> {
    let mut stdin = app.world.stdin.lock().unwrap_or_else(PoisonError::into_inner);
    files::read_from(&mut *stdin, most)
        .map_err(|error| Failure::new(Exit::Other, "cannot read standard input").because(Some(&error)))
}
