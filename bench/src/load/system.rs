//! What every system under test stands on, and a started process: on loopback, pinned to a core, ended when dropped.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The host that everybody may use.
pub const PUBLIC_HOST: &str = "open.localhost";
/// The host that asks for a session, an e-mail rule, identity headers and a signed assertion.
pub const CHECKED_HOST: &str = "checked.localhost";
/// Portcullis' own sign-in host.
pub const SIGN_IN_HOST: &str = "auth.localhost";
/// Who signs in, with a password that is the name.
pub const PERSON: &str = "alice";
/// The address that every e-mail rule asks for.
pub const EMAIL: &str = "alice@corp.example";
/// Where WebSockets are echoed.
pub const SOCKET_PATH: &str = "/socket";
/// Where gRPC calls are answered.
pub const UNARY_PATH: &str = "/bench.Echo/Say";

/// Files and addresses that all systems share.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Where systems keep their files.
    pub folder: PathBuf,
    /// PEM of the certificate for every name.
    pub certificate: PathBuf,
    /// PEM of its key.
    pub key: PathBuf,
    /// Where the origin answers HTTP/1.1.
    pub origin: SocketAddr,
    /// Where the origin echoes WebSocket messages.
    pub socket: SocketAddr,
    /// Where the origin answers gRPC over HTTP/2 in the clear.
    pub unary: SocketAddr,
}

impl Ground {
    /// Makes a certificate for every name, ECDSA with P-256, in `folder`, and reserves the origin's addresses.
    ///
    /// # Errors
    /// The folder cannot be written, or no port is free.
    pub fn lay(folder: &Path) -> io::Result<Self> {
        let names = [SIGN_IN_HOST, PUBLIC_HOST, CHECKED_HOST, "localhost"].map(str::to_owned);
        let certified = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let (certificate, key) = (folder.join("tls.pem"), folder.join("tls.key"));
        // Apache's children give up root before they read the pages that lie below.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
        fs::write(&certificate, certified.cert.pem())?;
        fs::write(&key, certified.signing_key.serialize_pem())?;
        let [origin, socket, unary] = [free_address()?, free_address()?, free_address()?];
        Ok(Self { folder: folder.to_owned(), certificate, key, origin, socket, unary })
    }

    /// A folder of its own for one system.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder_of(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// A running process; it and what it started end with it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Running {
    /// The process whose tree is accounted.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // TERM lets a master end its workers; KILL would leave them, so it is for those alone that do not listen.
        drop(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status());
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            pause();
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A free port on loopback. Another process could take it before its user does; then the start says so.
///
/// # Errors
/// No port is free.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Starts `program` on core `cpu` and waits until it listens on `address`.
///
/// # Errors
/// It is not installed, ends early (then with the last it said), or does not listen within ten seconds.
pub fn start(cpu: usize, program: &Path, arguments: &[String], address: SocketAddr) -> io::Result<Running> {
    if program.components().count() == 1 && !is_installed(program) {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is not installed", program.display())));
    }
    let words = tempfile::NamedTempFile::new()?;
    let mut child = Command::new("taskset")
        .args(["-c", &cpu.to_string()])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(words.reopen()?)
        .spawn()?;
    for _ in 0..200 {
        if TcpStream::connect(address).is_ok() {
            return Ok(Running { child, address });
        }
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("{} ended: {status}: {}", program.display(), last_words(&words))));
        }
        pause();
    }
    child.kill()?;
    child.wait()?;
    let text = format!("{} does not listen on {address}: {}", program.display(), last_words(&words));
    Err(io::Error::new(io::ErrorKind::TimedOut, text))
}

fn is_installed(program: &Path) -> bool {
    let found = Command::new("sh").arg("-c").arg("command -v \"$0\" >/dev/null").arg(program).status();
    found.is_ok_and(|status| status.success())
}

/// The last two lines, which tell more than the very last: servers end with "configuration failed".
fn last_words(file: &tempfile::NamedTempFile) -> String {
    let text = fs::read_to_string(file.path()).unwrap_or_default();
    let mut lines: Vec<&str> = text.lines().rev().map(str::trim).filter(|line| !line.is_empty()).take(2).collect();
    lines.reverse();
    if lines.is_empty() { "without a word".to_owned() } else { lines.join("; ") }
}

#[expect(clippy::disallowed_methods, reason = "the yardstick is a synchronous program")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
