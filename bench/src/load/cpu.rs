//! CPU time and memory of a process and everything it started, from the kernel's accounting.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The kernel's clock ticks in a second: fixed at 100 for user space on Linux.
const TICKS_PER_SECOND: u64 = 100;

/// Process trees whose members are looked up once, so that reading their CPU time is cheap enough to do at the edges
/// of a short window.
#[derive(Clone, Debug)]
pub struct Trees {
    members: Vec<u32>,
}

impl Trees {
    /// The processes below (and with) each of `roots` at this moment.
    #[must_use]
    pub fn of(roots: &[u32]) -> Self {
        let processes = processes();
        Self { members: members(&processes, roots) }
    }

    /// User and system time of the members so far, to the nanosecond where the kernel keeps it so
    /// (`/proc/PID/task/*/schedstat`), else to the tick.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.members.iter().map(|pid| of_threads(*pid).unwrap_or_else(|| of_ticks(*pid))).sum()
    }

    /// The members' memory in bytes, pages that several share counted once (`Pss`), else resident.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.members.iter().map(|pid| proportional_bytes(*pid).unwrap_or_else(|| resident_bytes(*pid))).sum()
    }
}

/// User and system time of the processes below (and with) each of `roots` so far. Processes that ended count
/// through the parent that waited for them.
#[must_use]
pub fn of_trees(roots: &[u32]) -> Duration {
    let processes = processes();
    let members = members(&processes, roots);
    let ticks = members.iter().filter_map(|pid| processes.get(pid)).map(|process| process.ticks).sum::<u64>();
    from_ticks(ticks)
}

/// Resident memory of one process in bytes; 0 if it is gone.
#[must_use]
pub fn resident_bytes(pid: u32) -> u64 {
    kilobytes(Path::new(&format!("/proc/{pid}/status")), "VmRSS:").unwrap_or(0)
}

fn proportional_bytes(pid: u32) -> Option<u64> {
    kilobytes(Path::new(&format!("/proc/{pid}/smaps_rollup")), "Pss:")
}

fn kilobytes(file: &Path, label: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(label))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()?.saturating_mul(1024))
}

/// The time its living threads ran. Threads that ended are missed: servers keep theirs.
fn of_threads(pid: u32) -> Option<Duration> {
    let mut nanoseconds = 0u64;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        nanoseconds = nanoseconds.saturating_add(text.split_whitespace().next()?.parse().ok()?);
    }
    (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
}

fn of_ticks(pid: u32) -> Duration {
    from_ticks(read(pid).map_or(0, |process| process.ticks))
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND))
}

struct Process {
    parent: u32,
    ticks: u64,
}

fn members(processes: &BTreeMap<u32, Process>, roots: &[u32]) -> Vec<u32> {
    let mut members = Vec::new();
    let mut queue: Vec<u32> = roots.to_vec();
    while let Some(pid) = queue.pop() {
        if processes.contains_key(&pid) && !members.contains(&pid) {
            members.push(pid);
            queue.extend(processes.iter().filter(|(_, process)| process.parent == pid).map(|(child, _)| *child));
        }
    }
    members
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Trees, of_trees};

    #[test]
    fn work_shows_in_both_accounts() {
        let own = [std::process::id()];
        let trees = Trees::of(&own);
        let (exact, coarse) = (trees.spent(), of_trees(&own));
        let mut sum = 0u64;
        while trees.spent().saturating_sub(exact) < Duration::from_millis(50) {
            sum = (0..100_000u64).fold(sum, u64::wrapping_add);
        }
        assert!(of_trees(&own) > coarse, "{sum}");
        assert!(trees.memory() > 0);
    }

    #[test]
    fn nobody_costs_nothing() {
        assert_eq!(Trees::of(&[u32::MAX]).spent(), Duration::ZERO);
    }
}
