//! The load generator: `h2load`, pinned to its own core, for HTTP/1.1 and HTTP/2 over TLS.

use std::process::Command;
use std::time::Duration;

/// What is asked for, again and again.
#[derive(Clone, Debug)]
pub struct Load {
    /// The address; the host must resolve to loopback.
    pub url: String,
    /// Where to connect to whatever the host says.
    pub connect_to: String,
    /// Further request headers.
    pub headers: Vec<(String, String)>,
    /// HTTP/2, with 8 streams a connection, instead of HTTP/1.1.
    pub http2: bool,
    /// Connections at one time.
    pub connections: u32,
    /// How long.
    pub span: Duration,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Answers with a 2xx status.
    pub good: u64,
    /// Everything else: other statuses, broken connections.
    pub bad: u64,
}

/// Why there is no outcome.
#[derive(Debug)]
pub enum LoadError {
    /// `h2load` is not there.
    NoGenerator(std::io::Error),
    /// It said something else than expected.
    Unreadable(String),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoGenerator(error) => write!(f, "h2load does not start ({error}); apt-get install nghttp2-client"),
            Self::Unreadable(text) => write!(f, "h2load said: {text}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Puts `load` on the system under test from the core `cpu`.
///
/// # Errors
/// No generator, or an answer that is none.
pub fn run(load: &Load, cpu: usize) -> Result<Outcome, LoadError> {
    let Load { url, connect_to, headers, http2, connections, span } = load;
    let mut command = Command::new("taskset");
    command.args(["-c", &cpu.to_string(), "h2load", "-t", "1", "-c", &connections.to_string()]);
    command.args(["-D", &span.as_secs().max(1).to_string(), "--connect-to", connect_to]);
    if *http2 {
        command.args(["-m", "8"])
    } else {
        command.args(["--h1", "-m", "1"])
    };
    for (name, value) in headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let output = command.arg(url).output().map_err(LoadError::NoGenerator)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    read(&text).ok_or(LoadError::Unreadable(text))
}

/// Reads the two lines that count: `requests: … 12 failed, …` and `status codes: 34 2xx, …`.
fn read(text: &str) -> Option<Outcome> {
    let statuses = text.lines().find(|line| line.starts_with("status codes:"))?;
    let requests = text.lines().find(|line| line.starts_with("requests:"))?;
    let good = count(statuses, "2xx")?;
    let other = count(statuses, "3xx")? + count(statuses, "4xx")? + count(statuses, "5xx")?;
    Some(Outcome { good, bad: other + count(requests, "failed")? })
}

fn count(line: &str, label: &str) -> Option<u64> {
    let part = line.split([',', ':']).map(str::trim).find(|part| part.ends_with(label))?;
    part.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_generators_words_are_understood() {
        let text = "finished in 1.00s\nrequests: 0 total, 0 started, 120 done, 118 succeeded, 2 failed, 2 errored, 0 timeout\n\
                    status codes: 118 2xx, 1 3xx, 0 4xx, 3 5xx\n";
        let outcome = read(text).unwrap();
        assert_eq!((outcome.good, outcome.bad), (118, 6));
        assert!(read("h2load: cannot connect").is_none());
    }
}
