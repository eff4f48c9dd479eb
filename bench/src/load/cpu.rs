//! CPU time of a process and everything it started, from the kernel's accounting.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// The kernel's clock ticks in a second: fixed at 100 for user space on Linux.
const TICKS_PER_SECOND: u64 = 100;

/// User and system time of the processes below (and with) each of `roots` so far. Processes that ended count
/// through the parent that waited for them.
#[must_use]
pub fn of_trees(roots: &[u32]) -> Duration {
    let processes = processes();
    let mut ticks = 0u64;
    let mut queue: Vec<u32> = roots.to_vec();
    while let Some(pid) = queue.pop() {
        if let Some(process) = processes.get(&pid) {
            ticks = ticks.saturating_add(process.ticks);
        }
        queue.extend(processes.iter().filter(|(_, process)| process.parent == pid).map(|(child, _)| *child));
    }
    Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND))
}

/// Resident memory of one process in bytes; 0 if it is gone.
#[must_use]
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

struct Process {
    parent: u32,
    ticks: u64,
}

fn processes() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, read(pid)?)))
        .collect()
}

fn read(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name is in parentheses and may hold anything, blanks and parentheses too.
    let (_, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let parent = fields.get(1)?.parse().ok()?;
    // proc(5): utime, stime, cutime, cstime are fields 14 to 17; `after` begins with field 3.
    let ticks = number(11)?.saturating_add(number(12)?).saturating_add(number(13)?).saturating_add(number(14)?);
    Some(Process { parent, ticks })
}
