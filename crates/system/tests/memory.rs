//! In a process of its own: what it does cannot be taken back.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use keystile_system::guard_memory;
use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

/// The kilobytes of this process that are locked, as the kernel tells it.
fn locked() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel tells it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn the_kernel_says_so_too() {
    let guarded = guard_memory();
    assert!(guarded.from_dumps);
    assert_eq!(getrlimit(Resource::Core).current, Some(0));
    assert_eq!(dumpable_behavior().expect("it can be asked"), DumpableBehavior::NotDumpable);
    assert_eq!(guarded.from_swap, locked() > 0);
    let more = vec![1_u8; 8 << 20];
    assert!(!guarded.from_swap || locked() >= 8 << 10, "what comes later is locked too: {}", more.len());
}
