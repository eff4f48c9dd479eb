//! The real binary as a process: when it is ready, what it costs, how long a reload takes.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::load::cpu::{self, Trees};

/// Longer than anything here takes: a bound for what hangs, not a measure.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the process says of the time its reloads took.
const RELOAD_SECONDS: &str = "portcullis_config_reload_seconds_total";

/// A running binary; killed when dropped, ended in order by [`Process::stop`].
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    words: UnixDatagram,
    telemetry: SocketAddr,
    /// From the start of the program to its word that it is ready.
    pub ready_after: Duration,
}

/// How long a reload took.
#[derive(Clone, Copy, Debug)]
pub struct Reload {
    /// From the change of the file to the new generation: the watcher's pause is in it.
    pub from_change: Duration,
    /// From the first byte read to the new generation, by the process's own clock.
    pub itself: Duration,
}

impl Process {
    /// Starts `binary run --config CONFIG` and waits for its word, as systemd does.
    pub(super) async fn start(
        binary: &Path,
        (config, telemetry): (&Path, SocketAddr),
        folder: &Path,
    ) -> io::Result<Self> {
        let socket = folder.join("notify.sock");
        drop(fs::remove_file(&socket));
        let words = UnixDatagram::bind(&socket)?;
        // Not beside the configuration, whose folder is watched.
        let said = folder.join("said");
        fs::create_dir_all(&said)?;
        let log = fs::File::create(said.join("log"))?;
        let begun = Instant::now();
        let mut child = Command::new(binary)
            .args(["run", "--config"])
            .arg(config)
            .env("NOTIFY_SOCKET", &socket)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", binary.display())))?;
        let pid = child.id().ok_or_else(|| io::Error::other("it ended at once"))?;
        tokio::select! {
            // Either arm ends the wait; nothing is lost with the other.
            word = word(&words, "READY=1") => word?,
            status = child.wait() => {
                let words = fs::read_to_string(said.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("{} ended: {}: {words}", binary.display(), status?)));
            }
        }
        Ok(Self { child, pid, words, telemetry, ready_after: begun.elapsed() })
    }

    /// User and system time so far.
    #[must_use]
    pub fn spent(&self) -> Duration {
        Trees::of(&[self.pid]).spent()
    }

    /// Resident memory in bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        cpu::resident_bytes(self.pid)
    }

    /// Makes a change of the configuration and waits until it is served.
    ///
    /// # Errors
    /// The change fails, or nothing is served within two minutes.
    pub async fn reload(&self, change: impl FnOnce() -> io::Result<()>) -> io::Result<Reload> {
        let before = self.metric(RELOAD_SECONDS).await?;
        let changed = Instant::now();
        change()?;
        word(&self.words, "RELOADING=1").await?;
        word(&self.words, "READY=1").await?;
        let from_change = changed.elapsed();
        let itself = self.metric(RELOAD_SECONDS).await? - before;
        Ok(Reload { from_change, itself: Duration::try_from_secs_f64(itself).map_err(io::Error::other)? })
    }

    /// The value of a metric without labels.
    async fn metric(&self, name: &str) -> io::Result<f64> {
        let client = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
        let answer = client.get(format!("http://{}/metrics", self.telemetry)).send().await;
        let text = answer.map_err(io::Error::other)?.text().await.map_err(io::Error::other)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.ok_or_else(|| io::Error::other(format!("there is no metric {name}")))
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// It does not end within two minutes.
    pub async fn stop(mut self) -> io::Result<()> {
        Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().await?;
        timeout(PATIENCE, self.child.wait()).await??;
        Ok(())
    }
}

async fn word(words: &UnixDatagram, wanted: &str) -> io::Result<()> {
    let mut text = [0; 1024];
    loop {
        let length = timeout(PATIENCE, words.recv(&mut text)).await??;
        let said = String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned();
        if said.lines().any(|line| line == wanted) {
            return Ok(());
        }
    }
}
