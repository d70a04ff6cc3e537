//! What this process takes of the machine.

/// What a process takes of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of memory that are resident.
    pub resident_bytes: u64,
    /// Descriptors that are open.
    pub open_fds: u64,
}

/// What this process takes now; `None` where the system does not say, as everywhere but on Linux.
#[must_use]
pub fn footprint() -> Option<Footprint> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them was open to count them.
    let open_fds = u64::try_from(open).ok()?.saturating_sub(1);
    Some(Footprint { resident_bytes: resident(&status)?, open_fds })
}

/// `VmRSS:      1234 kB`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_writes_is_read() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   12345 kB\nThreads:\t2\n"), Some(12_641_280));
        for other in ["", "VmRSS:\t12 pages\n", "VmRSS:\t-1 kB\n", "VmSize:\t12 kB\n"] {
            assert_eq!(resident(other), None, "{other:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_that_is_written_and_files_that_are_open_are_counted() {
        let before = footprint().expect("Linux says");
        let memory = std::hint::black_box(vec![1_u8; 64 << 20]);
        let files: Vec<_> = (0..100).map(|_| std::fs::File::open("/dev/null").expect("open")).collect();
        let after = footprint().expect("Linux says");
        // Other tests of this process open a file or two meanwhile.
        assert!(after.open_fds >= before.open_fds + 50, "{before:?} {after:?}");
        assert!(after.resident_bytes >= before.resident_bytes + (48 << 20), "{before:?} {after:?}");
        drop((memory, files));
    }
}
