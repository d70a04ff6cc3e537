//! An answer that comes line by line: a watch.

use http_body_util::BodyExt;
use kube::client::Body;
use zeroize::Zeroizing;

use crate::ApiError;
use crate::api::unreachable;

/// The longest line, bytes.
const LINE: usize = 1024 * 1024;

/// The lines of an answer, as they come.
pub struct Lines {
    body: Body,
    begun: Zeroizing<Vec<u8>>,
}

impl Lines {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, begun: Zeroizing::default() }
    }

    /// The next line; `None` once the server has ended the answer. What a cancelled wait had read of a
    /// line is kept.
    pub async fn next(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, ApiError> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let rest = self.begun.split_off(end + 1);
                let line = std::mem::replace(&mut self.begun, Zeroizing::new(rest));
                return Ok(Some(line));
            }
            if self.begun.len() > LINE {
                return Err(ApiError::TooLarge(LINE));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(unreachable(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.begun.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_at_newlines_and_an_unfinished_one_is_none() {
        let mut lines = Lines::new(Body::from(b"{\"a\":1}\n{}\nunfinished".to_vec()));
        let mut next = async || lines.next().await.expect("a line").map(|line| line.to_vec());
        assert_eq!(next().await, Some(b"{\"a\":1}\n".to_vec()));
        assert_eq!(next().await, Some(b"{}\n".to_vec()));
        assert_eq!(next().await, None);
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_an_error() {
        let mut lines = Lines::new(Body::from(vec![b' '; LINE + 1]));
        assert!(matches!(lines.next().await, Err(ApiError::TooLarge(LINE))));
    }
}
