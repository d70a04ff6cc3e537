//! The file that always holds the current token.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Output;
use crate::files;
use crate::ledger::Ledger;
use crate::token::Token;

/// Keeps the output file equal to the token that is held.
pub(crate) struct OutputFile {
    output: Option<Output>,
    /// What the file holds.
    written: Option<Token>,
    /// What it should hold but does not yet.
    due: Option<Token>,
    /// Whether the file is given up. A write that was begun goes on in its thread when nobody waits for it any
    /// more: it must not bring back a file that was removed.
    closed: Arc<Mutex<bool>>,
}

impl OutputFile {
    pub(crate) fn new(output: Option<Output>) -> Self {
        Self { output, written: None, due: None, closed: Arc::default() }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.output.is_some()
    }

    /// Removes what killed writers left.
    pub(crate) async fn tidy(&self) {
        if let Some(output) = &self.output
            && let Err(error) = files::remove_leftovers(&output.path).await
        {
            tracing::debug!(path = %output.path.display(), %error, "no leftovers removed");
        }
    }

    /// Writes `token` unless the file holds it; if that fails, [`OutputFile::retry`] tries again.
    pub(crate) async fn keep(&mut self, token: Token, ledger: &Ledger) {
        if self.written.as_ref() != Some(&token) {
            self.due = Some(token);
            self.retry(ledger).await;
        }
    }

    /// Writes what is due, if anything is.
    pub(crate) async fn retry(&mut self, ledger: &Ledger) {
        let (Some(output), Some(token)) = (&self.output, &self.due) else {
            return;
        };
        let outcome = self.write(output, token).await;
        ledger.wrote(outcome.is_ok());
        match outcome {
            Ok(()) => self.written = self.due.take(),
            Err(error) => {
                tracing::warn!(path = %output.path.display(), %error, "cannot write the token file; will retry");
            }
        }
    }

    async fn write(&self, output: &Output, token: &Token) -> io::Result<()> {
        let (path, text, closed) =
            (output.path.clone(), format!("{}\n", token.expose()), self.closed.clone());
        files::off_thread(move || {
            let closed = closed.lock().unwrap_or_else(PoisonError::into_inner);
            if *closed { Ok(()) } else { files::replace(&path, text.as_bytes()) }
        })
        .await?
    }

    /// Writes no more, and removes the file if that was asked for.
    pub(crate) async fn stop(&self) {
        let Some(output) = self.output.clone() else { return };
        let closed = self.closed.clone();
        let path = output.path.clone();
        let removed = files::off_thread(move || {
            *closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
            if output.remove_at_stop { files::remove(&output.path) } else { Ok(()) }
        });
        if let Err(error) = removed.await.and_then(|outcome| outcome) {
            tracing::warn!(path = %path.display(), %error, "cannot remove the token file");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn token(text: &str) -> Token {
        Token::new(text).unwrap()
    }

    /// As for a write whose thread begins only after the supervisor has stopped.
    #[tokio::test]
    async fn what_was_removed_at_the_stop_stays_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let ledger = Ledger::new(Duration::ZERO);
        let mut file = OutputFile::new(Some(Output { path: path.clone(), remove_at_stop: true }));
        file.keep(token("first"), &ledger).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first\n");
        file.stop().await;
        assert!(!path.exists());
        file.keep(token("second"), &ledger).await;
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_same_token_is_written_once() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(Duration::ZERO);
        let path = directory.path().join("token");
        let mut file = OutputFile::new(Some(Output { path, remove_at_stop: false }));
        for _ in 0..3 {
            file.keep(token("same"), &ledger).await;
            file.retry(&ledger).await;
        }
        assert_eq!(ledger.read(Duration::ZERO).writes, 1);
    }
}
