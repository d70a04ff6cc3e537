//! A token without its signature.

use keystile_keyring::{TokenTimes, UnixTime};

/// The facts that a sandbox token carries: seconds since the Unix epoch, and the key by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) issued: u32,
    /// 0: never.
    pub(crate) expires: u32,
    /// When its chain of refreshes began.
    pub(crate) began: u32,
    /// Which of the keys that there ever were.
    pub(crate) key: u8,
}

impl Token {
    pub(crate) fn times(&self) -> TokenTimes {
        let instant = |seconds| UnixTime(u64::from(seconds));
        TokenTimes {
            issued_at: instant(self.issued),
            expires_at: (self.expires != 0).then(|| instant(self.expires)),
            lineage_began: instant(self.began),
        }
    }

    /// Whether its `exp` and `grace` have passed.
    pub(crate) fn is_over(&self, now: UnixTime, grace: u64) -> bool {
        self.expires != 0 && now > UnixTime(u64::from(self.expires)).plus(grace)
    }
}

/// An instant as a token carries it.
pub(crate) fn seconds(instant: UnixTime) -> u32 {
    u32::try_from(instant.0).unwrap_or(u32::MAX)
}
