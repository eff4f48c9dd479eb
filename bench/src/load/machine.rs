//! What the figures were made on, and how quiet it was.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::cpu;

/// The kernel's account of all cores, in ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    busy: u64,
    steal: u64,
    all: u64,
}

/// Watches the machine for the time of a run.
#[derive(Debug)]
pub struct Watch {
    begun: Instant,
    ticks: Ticks,
    own: f64,
    load: String,
}

impl Watch {
    /// Begins to watch.
    #[must_use]
    pub fn begin() -> Self {
        Self { begun: Instant::now(), ticks: ticks(), own: own_seconds(), load: first_line("/proc/loadavg") }
    }

    /// Processor, kernel, versions, and what others took of the machine since.
    #[must_use]
    pub fn end(&self) -> Value {
        let now = ticks();
        let seconds = |ticks: u64| ticks as f64 / 100.0;
        let all = seconds(now.all.saturating_sub(self.ticks.all)).max(0.01);
        let steal = seconds(now.steal.saturating_sub(self.ticks.steal)) / all;
        let busy = seconds(now.busy.saturating_sub(self.ticks.busy));
        let others = (busy - (own_seconds() - self.own)).max(0.0) / all;
        json!({
            "processor": processor(),
            "cores": cores(),
            "kernel": said("uname", &["-sr"]),
            "system": system(),
            "date": said("date", &["-u", "+%F"]),
            "revision": said("git", &["rev-parse", "--short", "HEAD"]),
            "seconds": self.begun.elapsed().as_secs(),
            "load_before": self.load,
            "steal": steal,
            "others": others,
            "versions": versions(),
        })
    }
}

fn own_seconds() -> f64 {
    cpu::of_trees(&[std::process::id()]).as_secs_f64()
}

/// proc_stat(5): user nice system idle iowait irq softirq steal.
fn ticks() -> Ticks {
    let line = first_line("/proc/stat");
    let numbers: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).take(8).collect();
    let [user, nice, system, idle, iowait, irq, softirq, steal] = numbers.as_slice() else { return Ticks::default() };
    let busy = user + nice + system + irq + softirq;
    Ticks { busy, steal: *steal, all: busy + idle + iowait + steal }
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or_else(|| "unknown".to_owned(), |rest| rest.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}

/// Of the machine: this process itself is pinned to one.
fn cores() -> usize {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("processor")).count()
}

fn system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.unwrap_or("unknown").trim_matches('"').to_owned()
}

fn versions() -> Value {
    json!({
        "rustc": said("rustc", &["--version"]),
        "nginx": said("nginx", &["-v"]),
        "apache": said("apache2", &["-v"]),
        "mod_auth_openidc": said("dpkg-query", &["-W", "-f", "${Version}", "libapache2-mod-auth-openidc"]),
        "envoy": said("envoy", &["--version"]),
        "haproxy": said("haproxy", &["-v"]),
        "oauth2-proxy": said("oauth2-proxy", &["--version"]),
        "h2load": said("h2load", &["--version"]),
    })
}

/// The first line that a program says, on whichever of its outputs; nothing if it is not here.
fn said(program: &str, arguments: &[&str]) -> Value {
    let Ok(output) = Command::new(program).args(arguments).output() else { return Value::Null };
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.filter(|_| output.status.success()).map_or(Value::Null, Value::from)
}

fn first_line(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Watch, ticks};

    #[test]
    fn the_kernels_account_is_read() {
        let ticks = ticks();
        assert!(ticks.all >= ticks.busy && ticks.busy > 0, "{ticks:?}");
        let machine = Watch::begin().end();
        assert!(machine.get("cores").and_then(serde_json::Value::as_u64) > Some(0), "{machine}");
    }
}
