//! Portcullis as a system under test, with a provider to sign in at once, for real.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portcullis_demo::{Browser, Client, Provider, ProviderParts};

pub use super::system::{CHECKED_HOST, PUBLIC_HOST};
use super::system::{EMAIL, Ground, Running, SIGN_IN_HOST, SOCKET_PATH, free_address, start};

/// A running Portcullis and the provider behind its sign-in.
#[derive(Debug)]
pub struct Edge {
    /// The process.
    pub running: Running,
    _provider: Provider,
    authority: String,
}

/// Starts the binary with two routes to the origin on core `cpu`, so with one worker.
///
/// # Errors
/// The binary is not there, or does not listen within ten seconds.
pub async fn start_edge(ground: &Ground, binary: &Path, cpu: usize) -> io::Result<Edge> {
    let address = free_address()?;
    let origin = format!("https://{SIGN_IN_HOST}:{}", address.port());
    let client = Client::confidential("portcullis", "bench-secret", &origin);
    let provider = Provider::start(ProviderParts::on_any_port(vec![client])).await?;
    let folder = ground.folder.join("portcullis");
    let file = write(ground, &folder, address, provider.issuer())?;
    let arguments = ["run", "--config", &file.display().to_string()].map(str::to_owned);
    let running = start(cpu, binary, &arguments, address)?;
    let authority = fs::read_to_string(&ground.certificate)?;
    Ok(Edge { running, _provider: provider, authority })
}

impl Edge {
    /// Signs in as alice and answers the `Cookie` header of the checked host.
    ///
    /// # Errors
    /// The sign-in did not end at the origin.
    pub async fn session_cookie(&self) -> io::Result<String> {
        let mut browser = Browser::new(&self.authority).map_err(io::Error::other)?;
        let address = format!("https://{CHECKED_HOST}:{}/", self.running.address.port());
        let page = browser.sign_in(&address, "alice").await.map_err(io::Error::other)?;
        let cookies: Vec<String> = browser
            .cookies()
            .filter(|(host, ..)| *host == CHECKED_HOST)
            .map(|(_, name, value)| format!("{name}={value}"))
            .collect();
        if cookies.is_empty() {
            return Err(io::Error::other(format!("no session after the sign-in: {page:?}")));
        }
        Ok(cookies.join("; "))
    }
}

fn write(ground: &Ground, folder: &Path, address: SocketAddr, issuer: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("secret"), "bench-secret")?;
    let (place, port) = (folder.display(), address.port());
    let Ground { certificate, key, .. } = ground;
    let everybody = "allow_public_unauthenticated_access: true".to_owned();
    let checked = format!("pass_identity_headers: true, policy: [{{allow: {{and: [{{email: {EMAIL}}}]}}}}]");
    let text = format!(
        "directories: {{run_dir: \"{place}/run\", state_dir: \"{place}/state\"}}\n\
         listen: {{public: \"{address}\", telemetry: 127.0.0.1:0}}\n\
         tls: {{certificates: [{{cert: {{file: \"{}\"}}, key: {{file: \"{}\"}}}}]}}\n\
         sign_in: {{host: {SIGN_IN_HOST}}}\n\
         providers:\n  demo: {{issuer: \"{issuer}\", client_id: portcullis, client_secret: {{file: \"{place}/secret\"}}, scopes: [openid, profile, email, groups]}}\n\
         drain: {{delay: 0s, timeout: 1s, h2: 1s}}\n\
         routes:\n{}{}",
        certificate.display(),
        key.display(),
        routes(ground, &format!("https://{PUBLIC_HOST}:{port}"), &everybody),
        routes(ground, &format!("https://{CHECKED_HOST}:{port}"), &checked),
    );
    let file = folder.join("portcullis.yaml");
    fs::write(&file, text)?;
    Ok(file)
}

/// A host's three routes: WebSockets, gRPC and everything else.
fn routes(ground: &Ground, from: &str, who: &str) -> String {
    let Ground { origin, socket, unary, .. } = ground;
    format!(
        "- {{from: \"{from}\", path: {SOCKET_PATH}, to: \"http://{socket}\", allow_websockets: true, {who}}}\n\
         - {{from: \"{from}\", prefix: /bench., to: \"h2c://{unary}\", {who}}}\n\
         - {{from: \"{from}\", to: \"http://{origin}\", {who}}}\n"
    )
}
