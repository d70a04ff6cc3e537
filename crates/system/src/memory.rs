//! What the process can do so that its memory, private keys in it, stays in memory and with it.

use rustix::process::Resource;

/// What of it worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// A crash leaves no core file, and no other process of this user may read the memory (Linux).
    pub from_dumps: bool,
    /// No page of it is ever written to swap.
    pub from_swap: bool,
}

/// Turns core dumps off for this process, and locks its memory if it may lock as much as it likes: a process that locks up
/// to a limit would not be given memory beyond it.
pub fn guard_memory() -> Guarded {
    Guarded { from_dumps: no_dumps(), from_swap: may_lock_all() && lock_all() }
}

#[cfg(target_os = "linux")]
fn no_dumps() -> bool {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // The limit alone would not do: a dump that is piped to a program ignores it (core(5)).
    no_core_file() && set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn no_dumps() -> bool {
    no_core_file()
}

fn no_core_file() -> bool {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).is_ok()
}

#[cfg(target_os = "linux")]
fn may_lock_all() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    let unlimited = rustix::process::getrlimit(Resource::Memlock).current.is_none();
    unlimited || capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK))
}

#[cfg(target_os = "linux")]
fn lock_all() -> bool {
    use rustix::mm::{MlockAllFlags, mlockall};
    // A page is locked when it is first touched: what is reserved and never used costs nothing.
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn may_lock_all() -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn lock_all() -> bool {
    false
}
