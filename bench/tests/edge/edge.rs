//! The edge under test: `portcullis run` as child processes before the demonstration's provider and applications.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_demo::{Browser, Demo};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, timeout};

/// Everything that is waited for comes within this time, on a busy machine of two cores too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Name and value pairs of the configuration that tests add before the routes.
const ROUTES: &str = "\nroutes:\n";

/// The demonstration with the real binary in front, in a folder of its own.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) demo: Demo,
    pub(crate) folder: TempDir,
    pub(crate) services: Vec<Service>,
}

/// One process of the binary.
#[derive(Debug)]
pub(crate) struct Service {
    config: PathBuf,
    telemetry: String,
    child: Option<Child>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Edge {
    /// All services in one process.
    pub(crate) async fn start() -> Self {
        let mut edge = Self::prepare().await;
        edge.run("", "").await;
        edge
    }

    /// Starts all services in one process, with further sections and further routes.
    pub(crate) async fn run(&mut self, sections: &str, routes: &str) {
        let config = self.folder.path().join("portcullis.yaml");
        std::fs::write(&config, extended(&self.demo.config_text(self.folder.path()), sections, routes)).unwrap();
        self.services.push(Service::new(config, &format!("http://{}", self.demo.telemetry())));
        self.service().start().await;
    }

    /// Provider, applications and files; no service yet.
    pub(crate) async fn prepare() -> Self {
        let demo = Demo::start(free_port().await).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        demo.write_into(folder.path()).unwrap();
        Self { demo, folder, services: Vec::new() }
    }

    /// The single process.
    pub(crate) fn service(&mut self) -> &mut Service {
        &mut self.services[0]
    }

    /// `https://HOST.localhost:PORT` and the rest of an address.
    pub(crate) fn url(&self, host: &str, rest: &str) -> String {
        format!("https://{host}.localhost:{}{rest}", self.demo.public_port())
    }

    /// A visitor without cookies.
    pub(crate) fn visitor(&self) -> Browser {
        Browser::new(self.demo.authority()).unwrap()
    }

    /// A visitor who is signed in on `hello`.
    pub(crate) async fn signed_in(&self, user: &str) -> Browser {
        let mut browser = self.visitor();
        let page = browser.sign_in(&self.url("hello", "/"), user).await.unwrap();
        assert_eq!(page.status, 200, "{user} is signed in");
        browser
    }

    /// The status a signed-in program gets.
    pub(crate) async fn status(&self, browser: &mut Browser, host: &str, rest: &str) -> u16 {
        let page = browser.call(http::Method::GET, &self.url(host, rest), "application/json").await.unwrap();
        page.status.as_u16()
    }

    /// All lines of all services, in no order between services.
    pub(crate) fn log(&self) -> Vec<String> {
        self.services.iter().flat_map(Service::log).collect()
    }
}

impl Service {
    /// A service that is not running yet.
    pub(crate) fn new(config: PathBuf, telemetry: &str) -> Self {
        Self { config, telemetry: telemetry.to_owned(), child: None, log: Arc::default() }
    }

    /// Starts the process and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        let mut child = Command::new(binary())
            .args(["run", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; cargo build -p portcullis", binary().display()));
        collect(child.stdout.take().unwrap(), &self.log);
        collect(child.stderr.take().unwrap(), &self.log);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let probe = format!("{}/readyz", self.telemetry);
        let begun = Instant::now();
        let mut looks = interval(Duration::from_millis(20));
        loop {
            looks.tick().await;
            if let Some(status) = child.try_wait().unwrap() {
                panic!("portcullis ended with {status}:\n{}", self.log().join("\n"));
            }
            if client.get(&probe).send().await.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "portcullis is not ready:\n{}", self.log().join("\n"));
        }
        self.child = Some(child);
    }

    /// kill -9: no chance to tidy up.
    pub(crate) async fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.start_kill().unwrap();
        child.wait().await.unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let id = child.id().unwrap().to_string();
        Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
        timeout(PATIENCE, child.wait()).await.expect("the process ends").unwrap()
    }

    /// Runs another command of the binary with this configuration.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--config").arg(&self.config);
        timeout(PATIENCE, command.output()).await.expect("the command ends").unwrap()
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id().unwrap()
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// A document of the telemetry listener.
    pub(crate) async fn telemetry(&self, path: &str) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(format!("{}{path}", self.telemetry)).send().await.unwrap().text().await.unwrap()
    }

    /// What the process printed so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Access events of one request id.
    pub(crate) fn access_events(&self, request_id: &str) -> Vec<Value> {
        let lines = self.log();
        let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["target"] == "access" && event.to_string().contains(request_id)).collect()
    }
}

/// The configuration with more sections and routes.
pub(crate) fn extended(config: &str, sections: &str, routes: &str) -> String {
    assert!(config.contains(ROUTES));
    config.replace(ROUTES, &format!("\n{sections}{ROUTES}{routes}"))
}

/// A port nobody listens on right now, even; the odd one above it is left alone. Below the ports that the kernel gives
/// to outgoing connections, and never the same twice: it stays free until the process under test takes it.
pub(crate) async fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let block = u16::try_from(std::process::id() % 80).unwrap() * 200;
        let port = 12_000 + block + NEXT.fetch_add(2, Ordering::SeqCst) % 4_000;
        if tokio::net::TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return port;
        }
    }
}

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch, not a setting of the product")]
    if let Ok(path) = std::env::var("PORTCULLIS_BIN") {
        return PathBuf::from(path);
    }
    // target/debug/deps/edge-… → target/debug/portcullis
    let own = std::env::current_exe().unwrap();
    own.parent().and_then(Path::parent).unwrap().join("portcullis")
}

/// Waits until `check` answers something.
pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    let mut looks = interval(Duration::from_millis(20));
    loop {
        looks.tick().await;
        if let Some(found) = check().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
    }
}

fn collect(stream: impl AsyncRead + Unpin + Send + 'static, log: &Arc<Mutex<Vec<String>>>) {
    let log = Arc::clone(log);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            log.lock().unwrap().push(line);
        }
    });
}
