//! What a process says of its own memory.

use std::fs;

/// The largest resident memory of this process so far, in bytes, where the system tells.
pub(crate) fn peak_rss() -> Option<u64> {
    // not from getrusage: there a process starts with the peak of whoever started it
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
