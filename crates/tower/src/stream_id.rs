//! The name of an open stream.

use std::fmt;
use std::str::FromStr;

/// The name of a stream, for as long as it is open: who renews it from outside says which one.
///
/// It is no secret: only a token of the same sandbox renews a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// Of the process, drawn at its start: another replica behind the same address knows no stream of this one.
    pub(crate) process: u64,
    pub(crate) number: u64,
}

/// A text that names no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no stream id: expected two hexadecimal numbers with a hyphen between, as in the header x-keystile-stream"
)]
pub struct NoStreamId;

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:x}", self.process, self.number)
    }
}

impl FromStr for StreamId {
    type Err = NoStreamId;

    fn from_str(text: &str) -> Result<Self, NoStreamId> {
        let hex = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            plain.then(|| u64::from_str_radix(digits, 16).ok()).flatten().ok_or(NoStreamId)
        };
        let (process, number) = text.split_once('-').ok_or(NoStreamId)?;
        Ok(Self { process: hex(process)?, number: hex(number)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = StreamId { process: 0xab, number: 300 };
        assert_eq!(id.to_string(), "00000000000000ab-12c");
        assert_eq!(id.to_string().parse(), Ok(id));
        for other in ["", "-", "ab", "ab-", "-1", "ab-+1", "ab-1-2", "zz-1", "11112222333344445-1", "ab-1 "] {
            assert_eq!(other.parse::<StreamId>(), Err(NoStreamId), "{other:?}");
        }
    }
}
