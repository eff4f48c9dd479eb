//! HAProxy without a check.

use std::fs;
use std::io;
use std::path::Path;

use super::nginx::Doors;
use super::system::{Ground, Running, SOCKET_PATH, start};

/// HAProxy with one thread as a plain reverse proxy.
///
/// # Errors
/// As [`start`].
pub fn plain(ground: &Ground, cpu: usize, doors: Doors) -> io::Result<Running> {
    let folder = ground.folder_of("haproxy")?;
    let Ground { folder: _, certificate, key, origin, socket, unary } = ground;
    let both = folder.join("both.pem");
    fs::write(&both, [fs::read(certificate)?, fs::read(key)?].concat())?;
    let Doors { tls, plain } = doors;
    let text = format!(
        "global\n  nbthread 1\n  maxconn 8192\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  timeout tunnel 1h\n\
         frontend public\n  bind {tls} ssl crt {} alpn h2,http/1.1 ssl-min-ver TLSv1.3\n  bind {plain}\n\
         \x20 use_backend unary if {{ path_beg /bench. }}\n  use_backend socket if {{ path {SOCKET_PATH} }}\n\
         \x20 default_backend origin\n\
         backend origin\n  http-reuse always\n  server one {origin}\n\
         backend socket\n  server one {socket}\n\
         backend unary\n  http-reuse always\n  server one {unary} proto h2\n",
        both.display()
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, text)?;
    let arguments = ["-db", "-f", &file.display().to_string()].map(str::to_owned);
    start(cpu, Path::new("haproxy"), &arguments, tls)
}
