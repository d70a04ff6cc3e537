//! Why nothing could be measured.

use std::error::Error;

/// What was to be done, and why it could not be.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {why}")]
pub(crate) struct BenchError {
    doing: String,
    why: String,
}

impl BenchError {
    pub(crate) fn new(doing: impl Into<String>, why: impl Into<String>) -> Self {
        Self { doing: doing.into(), why: why.into() }
    }
}

/// Makes an error of whatever hindered `doing`.
pub(crate) fn because<E: Error>(doing: impl Into<String>) -> impl FnOnce(E) -> BenchError {
    let doing = doing.into();
    move |error| {
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            why = format!("{why}: {inner}");
            source = inner.source();
        }
        BenchError { doing, why }
    }
}
