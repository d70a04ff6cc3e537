//! The file that always holds the current token.

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
}

impl OutputFile {
    pub(crate) fn new(output: Option<Output>) -> Self {
        Self { output, written: None, due: None }
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
        let outcome = files::replace(&output.path, format!("{}\n", token.expose())).await;
        ledger.wrote(outcome.is_ok());
        match outcome {
            Ok(()) => self.written = self.due.take(),
            Err(error) => {
                tracing::warn!(path = %output.path.display(), %error, "cannot write the token file; will retry");
            }
        }
    }

    /// Removes the file if that was asked for.
    pub(crate) async fn stop(&self) {
        if let Some(output) = &self.output
            && output.remove_at_stop
            && let Err(error) = files::remove(&output.path).await
        {
            tracing::warn!(path = %output.path.display(), %error, "cannot remove the token file");
        }
    }
}
