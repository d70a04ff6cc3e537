//! What takes every gateway down when the rehearsal itself is killed.

use std::process::Stdio;

use tokio::process::{Child, ChildStdin, Command};

use crate::error::RehearsalError;

/// A shell that waits for the end of its input, which the system closes when this process dies in
/// whatever way, and then kills its process group. Every gateway is in that group.
pub(super) struct Guard {
    /// Killed when dropped.
    _shell: Child,
    input: Option<ChildStdin>,
    group: i32,
}

const SHELL: &str = "/bin/sh";

impl Guard {
    pub(super) fn post() -> Result<Self, RehearsalError> {
        let failed = |source| RehearsalError::Start { program: SHELL.into(), source };
        let mut shell = Command::new(SHELL)
            .args(["-c", "read -r nothing; kill -s KILL 0"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let input = shell.stdin.take();
        let group = shell.id().and_then(|id| i32::try_from(id).ok());
        let group = group.ok_or_else(|| failed(std::io::Error::other("it ended at once")))?;
        Ok(Self { _shell: shell, input, group })
    }

    /// The process group that ends with this process.
    pub(super) fn group(&self) -> i32 {
        self.group
    }

    /// What the system does when this process dies.
    fn end_input(&mut self) {
        self.input = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end_input();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn whoever_is_in_its_group_ends_with_its_input() {
        let mut guard = Guard::post().expect("a shell");
        let mut gateway = Command::new("sleep")
            .arg("1000")
            .process_group(guard.group())
            .kill_on_drop(true)
            .spawn()
            .expect("a process");
        assert!(gateway.try_wait().expect("its state").is_none());
        guard.end_input();
        let ended = tokio::time::timeout(Duration::from_secs(20), gateway.wait()).await;
        assert_eq!(ended.expect("in time").expect("its status").signal(), Some(9));
    }
}
