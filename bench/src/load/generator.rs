//! The load generators, pinned to their own core, and the window in which the system's CPU time is read: `h2load` for
//! requests over kept-alive connections, our own `drive` for everything that it does not make.

use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::cpu::Trees;
use crate::drive::order::Order;
use crate::drive::tally;

/// Tries of one window: `h2load` sometimes does not end after uploads over HTTP/1.1.
const TRIES: u64 = 3;
/// What a generator may take beyond warm-up and window.
const PATIENCE: Duration = Duration::from_secs(4);
/// Streams at one time on an HTTP/2 connection.
const STREAMS: &str = "8";

/// What `h2load` asks for, again and again.
#[derive(Clone, Debug)]
pub struct Load {
    /// The address.
    pub url: String,
    /// Where to connect to whatever the host says.
    pub connect_to: String,
    /// Further request headers.
    pub headers: Vec<(String, String)>,
    /// HTTP/2, with 8 streams a connection, instead of HTTP/1.1.
    pub http2: bool,
    /// Connections at one time.
    pub connections: u32,
    /// Time before the window: handshakes, first requests.
    pub warm_up: Duration,
    /// The window.
    pub span: Duration,
    /// A file to send as request body with POST; without one, GET.
    pub upload: Option<PathBuf>,
}

/// What a window brought.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Answers as they should be: a 2xx status, with `drive` the right content too.
    pub good: u64,
    /// Everything else: other statuses, broken connections.
    pub bad: u64,
    /// How long it was.
    pub window: Duration,
    /// CPU time of the system in it.
    pub spent: Duration,
    /// p50 and p99 of the answers, at a fixed rate.
    pub latency: Option<(Duration, Duration)>,
}

impl Sample {
    /// The figure of merit: good answers per second of the system's CPU time.
    #[must_use]
    pub fn per_cpu_second(&self) -> f64 {
        self.good as f64 / self.spent.as_secs_f64().max(0.001)
    }

    /// Good answers per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.good as f64 / self.window.as_secs_f64().max(0.001)
    }
}

/// Why there is no sample.
#[derive(Debug)]
pub enum LoadError {
    /// The generator is not there.
    NoGenerator(String, io::Error),
    /// It said something else than expected.
    Unreadable(String),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoGenerator(name, error) => write!(f, "{name} does not start: {error}"),
            Self::Unreadable(text) => write!(f, "the generator said: {text}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Puts `load` on a system from the core `cpu` and reads what the processes of `trees` spent in the window. A window
/// whose generator did not end is tried again, and counts as one failure.
///
/// # Errors
/// No generator, or an answer that is none.
pub fn run(load: &Load, cpu: usize, trees: &Trees) -> Result<Sample, LoadError> {
    let mut last = String::new();
    for hung in 0..TRIES {
        let said = watch(
            &mut h2load(load, cpu),
            ["Main benchmark duration is started", "Main benchmark duration is over"],
            trees,
        )?;
        if let Some((good, bad)) = h2load_counts(&said.text) {
            return said.sample(good, bad.saturating_add(hung), None);
        }
        last = said.text;
    }
    Err(LoadError::Unreadable(last))
}

fn h2load(load: &Load, cpu: usize) -> Command {
    let Load { url, connect_to, headers, http2, connections, warm_up, span, upload } = load;
    let mut command = pinned(cpu, *warm_up + *span, Path::new("h2load"));
    command.args(["-t", "1", "-c", &connections.to_string(), "--connect-to", connect_to]);
    command.args(["-D", &format!("{}ms", span.as_millis().max(1))]);
    command.arg(format!("--warm-up-time={}ms", warm_up.as_millis()));
    if *http2 {
        command.args(["-m", STREAMS])
    } else {
        command.args(["--h1", "-m", "1"])
    };
    for (name, value) in headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    if let Some(file) = upload {
        command.arg("-d").arg(file);
    }
    command.arg(url);
    command
}

/// Carries out `order` with our own generator `drive` from the core `cpu`.
///
/// # Errors
/// As [`run`].
pub fn drive(program: &Path, order: &Order, cpu: usize, trees: &Trees) -> Result<Sample, LoadError> {
    let mut command = pinned(cpu, order.warm_up + order.span, program);
    let said = watch(command.args(order.arguments()), [tally::BEGIN, tally::END], trees)?;
    let (good, bad) = said.pair("good", "bad").ok_or_else(|| LoadError::Unreadable(said.text.clone()))?;
    let latency = said.pair("p50", "p99").map(|(p50, p99)| (Duration::from_micros(p50), Duration::from_micros(p99)));
    said.sample(good, bad, latency)
}

/// On its core, and ended if it takes far longer than it was told to.
fn pinned(cpu: usize, span: Duration, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    let deadline = span.saturating_add(PATIENCE).as_secs_f64().to_string();
    command.args(["-c", &cpu.to_string(), "timeout", "-k", "1", &deadline]).arg(program);
    command
}

/// What a generator said, and what the system spent between its two marks.
struct Said {
    text: String,
    begun: Option<(Instant, Duration)>,
    ended: Option<(Instant, Duration)>,
}

impl Said {
    fn sample(self, good: u64, bad: u64, latency: Option<(Duration, Duration)>) -> Result<Sample, LoadError> {
        let (Some((begin, before)), Some((end, after))) = (self.begun, self.ended) else {
            return Err(LoadError::Unreadable(self.text));
        };
        Ok(Sample { good, bad, window: end - begin, spent: after.saturating_sub(before), latency })
    }

    /// The numbers of the line `FIRST number SECOND number`.
    fn pair(&self, first: &str, second: &str) -> Option<(u64, u64)> {
        let mut words = self.text.lines().find(|line| line.starts_with(first))?.split_whitespace().skip(1);
        let one = words.next()?.parse().ok()?;
        (words.next()? == second).then_some(())?;
        Some((one, words.next()?.parse().ok()?))
    }
}

/// Runs a generator and reads clock and CPU time the moment its marks arrive.
fn watch(command: &mut Command, [begin, end]: [&str; 2], trees: &Trees) -> Result<Said, LoadError> {
    let name = format!("{:?}", command.get_args().nth(6).unwrap_or_default());
    let absent = |error| LoadError::NoGenerator(name.clone(), error);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(absent)?;
    let mut said = Said { text: String::new(), begun: None, ended: None };
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.map_err(absent)?;
        if line.starts_with(begin) {
            said.begun = Some((Instant::now(), trees.spent()));
        } else if line.starts_with(end) {
            said.ended = Some((Instant::now(), trees.spent()));
        }
        said.text.push_str(&line);
        said.text.push('\n');
    }
    child.wait().map_err(absent)?;
    Ok(said)
}

/// Reads the two lines that count: `requests: … 12 failed, …` and `status codes: 34 2xx, …`.
fn h2load_counts(text: &str) -> Option<(u64, u64)> {
    let statuses = text.lines().find(|line| line.starts_with("status codes:"))?;
    let requests = text.lines().find(|line| line.starts_with("requests:"))?;
    let good = count(statuses, "2xx")?;
    let other = count(statuses, "3xx")? + count(statuses, "4xx")? + count(statuses, "5xx")?;
    Some((good, other + count(requests, "failed")?))
}

fn count(line: &str, label: &str) -> Option<u64> {
    let part = line.split([',', ':']).map(str::trim).find(|part| part.ends_with(label))?;
    part.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Said, h2load_counts};

    #[test]
    fn the_generators_words_are_understood() {
        let text = "finished in 1.00s\nrequests: 0 total, 0 started, 120 done, 118 succeeded, 2 failed, 2 errored, 0 timeout\n\
                    status codes: 118 2xx, 1 3xx, 0 4xx, 3 5xx\n";
        assert_eq!(h2load_counts(text), Some((118, 6)));
        assert_eq!(h2load_counts("h2load: cannot connect"), None);
    }

    #[test]
    fn our_own_generators_words_are_understood() {
        let said = |text: &str| Said { text: text.to_owned(), begun: None, ended: None };
        let words = said("window begins\nwindow ended\ngood 12 bad 3\np50 150 p99 900\n");
        assert_eq!((words.pair("good", "bad"), words.pair("p50", "p99")), (Some((12, 3)), Some((150, 900))));
        assert_eq!(said("good 12\n").pair("good", "bad"), None);
    }

    #[test]
    fn without_its_marks_there_is_no_sample() {
        let said = Said { text: "good 1 bad 0\n".to_owned(), begun: None, ended: None };
        assert!(said.sample(1, 0, None).is_err());
    }
}
