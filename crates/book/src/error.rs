//! What can be wrong with the book.

use std::path::PathBuf;

/// What is wrong with the book, or hinders its making.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// A file or directory cannot be read or written.
    #[error("cannot {what} {}", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A page is not of the form that the maker expects.
    #[error("{page}:{line}: {what}")]
    Page {
        /// The page, from the root of the repository.
        page: String,
        /// The line, from 1.
        line: usize,
        /// What was found and what was expected.
        what: String,
    },
    /// A recorded session went another way than the page says.
    #[error("{page}: {what}")]
    Session {
        /// The page, from the root of the repository.
        page: String,
        /// What happened.
        what: String,
    },
}

impl BookError {
    /// For `map_err` after a file operation.
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    /// A fault on a line of a page, counted from 0.
    pub(crate) fn page(page: &str, index: usize, what: impl Into<String>) -> Self {
        Self::Page { page: page.to_owned(), line: index + 1, what: what.into() }
    }
}
