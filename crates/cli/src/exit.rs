//! How the program ends.

/// The exit codes. Their numbers are stable: scripts, hooks and `CronJob`s branch on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or there was nothing to do.
    Done,
    /// Failed for a reason that has no number of its own.
    Other,
    /// The command line, or a configuration, cannot be understood.
    Usage,
    /// Refused for safety: what was asked was not done; a rotation's earlier step stays. Also a token that is rejected and a verdict that fails.
    Refused,
    /// Another change came first, or holds the lock: nothing was changed.
    Conflict,
    /// The store could not be read or written.
    Unreachable,
    /// As the program ended that `supervise` ran.
    Program(u8),
}

impl Exit {
    /// Every exit of Keystile's own, in the order of the numbers.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Other, Self::Usage, Self::Refused, Self::Conflict, Self::Unreachable];

    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Conflict => 4,
            Self::Unreachable => 5,
            Self::Program(code) => code,
        }
    }

    /// What it means, for the manual.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or nothing to do",
            Self::Other => "failed for another reason",
            Self::Usage => "usage: the command line or a configuration cannot be understood",
            Self::Refused => {
                "refused for safety, a rejected token, or a failed verdict; what a rotation committed stays"
            }
            Self::Conflict => "conflict: another change came first or holds the lock; nothing was changed",
            Self::Unreachable => "the store could not be read or written",
            Self::Program(_) => "as the program ended that was run",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_documented_ones() {
        let codes: Vec<_> = Exit::ALL.into_iter().map(Exit::code).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5]);
    }
}
