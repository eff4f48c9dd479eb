//! The systems under test and the origin behind them: started on loopback, pinned to a core, ended when dropped.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Files and addresses that all systems share.
#[derive(Debug)]
pub struct Ground {
    /// Where systems keep their files.
    pub folder: PathBuf,
    /// PEM of the certificate for every name.
    pub certificate: PathBuf,
    /// PEM of its key.
    pub key: PathBuf,
    /// Where the origin answers.
    pub origin: SocketAddr,
}

/// A running system; its processes end with it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where it listens for TLS.
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
        // TERM lets nginx's master end its workers; KILL would leave them.
        drop(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status());
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
/// It is not installed, ends early, or does not listen within ten seconds.
pub fn start(cpu: usize, program: &Path, arguments: &[String], address: SocketAddr) -> io::Result<Running> {
    let mut child = Command::new("taskset")
        .args(["-c", &cpu.to_string()])
        .arg(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    for _ in 0..200 {
        if TcpStream::connect(address).is_ok() {
            return Ok(Running { child, address });
        }
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("{} ended: {status}", program.display())));
        }
        pause();
    }
    child.kill()?;
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("{} does not listen on {address}", program.display())))
}

#[expect(clippy::disallowed_methods, reason = "the yardstick is a synchronous program")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

/// An nginx with one worker and the given `http` block.
///
/// # Errors
/// As [`start`].
pub fn nginx(ground: &Ground, name: &str, cpu: usize, address: SocketAddr, http: &str) -> io::Result<Running> {
    let folder = ground.folder.join(name);
    fs::create_dir_all(&folder)?;
    let place = folder.display();
    let text = format!(
        "daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error.log crit;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {place}/b; proxy_temp_path {place}/p;\n\
         fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n{http}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let arguments = ["-p", &place.to_string(), "-c", &file.display().to_string()].map(str::to_owned);
    start(cpu, Path::new("nginx"), &arguments, address)
}

/// The origin: 1 KiB at every path, kept-alive, as cheap as it gets.
///
/// # Errors
/// As [`start`].
pub fn origin(ground: &Ground, cpu: usize) -> io::Result<Running> {
    let body = "0123456789abcdef".repeat(64);
    let listen = ground.origin;
    let http =
        format!("server {{ listen {listen}; location / {{ default_type text/plain; return 200 \"{body}\"; }} }}");
    nginx(ground, "origin", cpu, listen, &http)
}

/// nginx as a plain TLS reverse proxy.
///
/// # Errors
/// As [`start`].
pub fn nginx_plain(ground: &Ground, cpu: usize) -> io::Result<Running> {
    let address = free_address()?;
    let front = nginx_front(ground, address);
    let http = format!("{front} location / {{ proxy_pass http://origin; }} }}");
    nginx(ground, "nginx-plain", cpu, address, &http)
}

/// nginx that asks the cheapest honest responder (a location of its own that answers 204) before each request.
///
/// # Errors
/// As [`start`].
pub fn nginx_auth_request(ground: &Ground, cpu: usize) -> io::Result<Running> {
    let address = free_address()?;
    let responder = free_address()?;
    let front = nginx_front(ground, address);
    let http = format!(
        "upstream responder {{ server {responder}; keepalive 256; }}\n\
         server {{ listen {responder}; location / {{ return 204; }} }}\n\
         {front} location / {{ auth_request /check; proxy_pass http://origin; }}\n\
         location = /check {{ internal; proxy_pass http://responder; proxy_pass_request_body off;\n\
         proxy_set_header Content-Length \"\"; }} }}"
    );
    nginx(ground, "nginx-auth-request", cpu, address, &http)
}

fn nginx_front(ground: &Ground, address: SocketAddr) -> String {
    let Ground { certificate, key, origin, .. } = ground;
    format!(
        "upstream origin {{ server {origin}; keepalive 256; }}\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off;\n\
         server {{ listen {address} ssl http2; ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {};\n",
        certificate.display(),
        key.display()
    )
}
