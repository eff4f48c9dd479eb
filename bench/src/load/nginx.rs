//! nginx: the origin behind every system, and three peers.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::system::{Ground, Running, SOCKET_PATH, free_address, start};

/// Bytes of the large page.
pub const LARGE: usize = 64 * 1024;

/// An nginx with one worker and the given `http` block.
///
/// # Errors
/// As [`start`].
pub fn nginx(ground: &Ground, name: &str, cpu: usize, address: SocketAddr, http: &str) -> io::Result<Running> {
    let folder = ground.folder_of(name)?;
    let place = folder.display();
    let text = format!(
        "daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error.log crit;\n\
         events {{ worker_connections 8192; }}\n\
         http {{ access_log off; keepalive_requests 100000000; client_max_body_size 0;\n\
         client_body_temp_path {place}/b; proxy_temp_path {place}/p;\n\
         fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n{http}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let arguments = ["-p", &place.to_string(), "-c", &file.display().to_string()].map(str::to_owned);
    start(cpu, Path::new("nginx"), &arguments, address)
}

/// The origin: 64 KiB at `/large`, 1 KiB everywhere else, kept-alive, as cheap as it gets. `/upload` answers once it has
/// the whole body: `return` would answer before, and then it is chance how much of the body was carried.
///
/// # Errors
/// As [`start`].
pub fn origin(ground: &Ground, cpu: usize) -> io::Result<Running> {
    let body = "0123456789abcdef".repeat(64);
    let pages = ground.folder_of("pages")?;
    fs::write(pages.join("large"), "0123456789abcdef".repeat(LARGE / 16))?;
    let listen = ground.origin;
    let http = format!(
        "upstream own {{ server {listen}; keepalive 64; }}\n\
         server {{ listen {listen}; default_type text/plain; location / {{ return 200 \"{body}\"; }}\n\
         location = /upload {{ client_body_buffer_size 128k; proxy_http_version 1.1; proxy_method GET;\n\
         proxy_set_header Connection \"\"; proxy_set_header Content-Length \"\"; proxy_pass_request_body off;\n\
         proxy_pass http://own/page; }}\n\
         location = /large {{ root {}; sendfile on; open_file_cache max=8; }} }}",
        pages.display()
    );
    nginx(ground, "origin", cpu, listen, &http)
}

/// A responder that says yes to everything: the least that a check beside the proxy costs.
///
/// # Errors
/// As [`start`].
pub fn responder(ground: &Ground, name: &str, cpu: usize) -> io::Result<Running> {
    let listen = free_address()?;
    nginx(ground, name, cpu, listen, &format!("server {{ listen {listen}; location / {{ return 200; }} }}"))
}

/// Where an nginx listens.
#[derive(Clone, Copy, Debug)]
pub struct Doors {
    /// For TLS.
    pub tls: SocketAddr,
    /// In the clear.
    pub plain: SocketAddr,
}

impl Doors {
    /// Two free ports.
    ///
    /// # Errors
    /// There are none.
    pub fn new() -> io::Result<Self> {
        Ok(Self { tls: free_address()?, plain: free_address()? })
    }
}

/// nginx as a plain reverse proxy.
///
/// # Errors
/// As [`start`].
pub fn plain(ground: &Ground, cpu: usize, doors: Doors) -> io::Result<Running> {
    nginx(ground, "nginx-plain", cpu, doors.tls, &front(ground, doors, ""))
}

/// nginx that asks the cheapest honest responder (a server of its own that answers 204) before each request.
///
/// # Errors
/// As [`start`].
pub fn with_responder(ground: &Ground, cpu: usize, doors: Doors) -> io::Result<Running> {
    let responder = free_address()?;
    let check = "auth_request /check;\n\
        location = /check { internal; auth_request off; proxy_pass http://responder; proxy_pass_request_body off;\n\
        proxy_set_header Connection \"\"; proxy_set_header Content-Length \"\"; }";
    let http = format!(
        "upstream responder {{ server {responder}; keepalive 256; }}\n\
         server {{ listen {responder}; location / {{ return 204; }} }}\n{}",
        front(ground, doors, check)
    );
    nginx(ground, "nginx-responder", cpu, doors.tls, &http)
}

/// Where a sidecar checks a session, and which paths are its own.
#[derive(Clone, Copy, Debug)]
pub struct Sidecar {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its check: answers 2xx for a session that may pass.
    pub check: &'static str,
    /// What begins with this is answered by the sidecar itself: sign-in and callback.
    pub own: &'static str,
    /// The header of its answer that names the e-mail address.
    pub email: &'static str,
}

/// nginx that asks a session-checking sidecar before each request and passes on whom it named.
///
/// # Errors
/// As [`start`].
pub fn with_sidecar(ground: &Ground, cpu: usize, doors: Doors, sidecar: Sidecar) -> io::Result<Running> {
    let Sidecar { address, check, own, email } = sidecar;
    let forwarded = "proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n\
        proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-Host $http_host;";
    let check = format!(
        "auth_request /the-check; auth_request_set $email $upstream_http_{email};\n\
         proxy_set_header X-Email $email;\n\
         location = /the-check {{ internal; auth_request off; proxy_pass http://sidecar{check};\n\
         proxy_pass_request_body off; proxy_set_header Content-Length \"\"; {forwarded} }}\n\
         location {own} {{ auth_request off; proxy_pass http://sidecar; {forwarded} }}"
    );
    let http = format!("upstream sidecar {{ server {address}; keepalive 256; }}\n{}", front(ground, doors, &check));
    let name = format!("nginx-sidecar-{}", address.port());
    nginx(ground, &name, cpu, doors.tls, &http)
}

fn front(ground: &Ground, doors: Doors, check: &str) -> String {
    let Ground { folder: _, certificate, key, origin, socket, unary } = ground;
    let Doors { tls, plain } = doors;
    format!(
        "upstream origin {{ server {origin}; keepalive 256; }}\n\
         upstream socket {{ server {socket}; }}\n\
         upstream unary {{ server {unary}; keepalive 256; }}\n\
         proxy_http_version 1.1; proxy_buffering off; proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_request_buffering off;\n\
         server {{ listen {tls} ssl http2; listen {plain};\n\
         ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {};\n\
         proxy_set_header Connection \"\";\n\
         {check}\n\
         location / {{ proxy_pass http://origin; }}\n\
         location /bench. {{ grpc_pass grpc://unary; }}\n\
         location {SOCKET_PATH} {{ proxy_pass http://socket; proxy_read_timeout 1h;\n\
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}",
        certificate.display(),
        key.display()
    )
}
