//! What the operating system says of a process.

use crate::error::{BenchError, because};

/// Clock ticks a second in /proc, the same on every Linux.
const TICKS: f64 = 100.0;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time, seconds.
    pub(crate) cpu: f64,
    /// Resident memory, MiB.
    pub(crate) resident: f64,
    /// Of it, what is of no file.
    pub(crate) own: f64,
}

impl Usage {
    /// That of the process `id`.
    pub(crate) fn of(id: u32) -> Result<Self, BenchError> {
        Self::read(&id.to_string())
    }

    /// That of this process.
    pub(crate) fn of_itself() -> Result<Self, BenchError> {
        Self::read("self")
    }

    fn read(process: &str) -> Result<Self, BenchError> {
        let read = |name: &str| {
            let path = format!("/proc/{process}/{name}");
            std::fs::read_to_string(&path).map_err(because(format!("read {path}")))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        // The program's name, in brackets, may hold blanks: count from behind it.
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let ticks = after.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().split(' ').next());
            kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
        };
        Ok(Self { cpu: ticks.sum::<f64>() / TICKS, resident: mib("VmRSS:"), own: mib("RssAnon:") })
    }
}
