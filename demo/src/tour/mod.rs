//! The tour: everything `portcullis demo` starts beside the proxy itself, and the visitor who walks through it.

mod browser;
mod check;
mod config;
mod page;
mod text;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::app::{App, AppParts, Trust};
use crate::provider::{Client, Provider, ProviderParts};

pub use browser::{Browser, BrowserError};
pub use check::{Operator, Report, StepFailed, TourParts};
pub use page::Page;

/// The host people sign in on.
pub(crate) const SIGN_IN_HOST: &str = "auth.localhost";
/// The application for everybody who is signed in.
pub(crate) const HELLO_HOST: &str = "hello.localhost";
/// The application for administrators, on a host that shares nothing with the other.
pub(crate) const VAULT_HOST: &str = "vault.localhost";
/// Hosts that no route of the demonstration names; tests put routes of their own there.
const SPARE_HOSTS: [&str; 3] = ["open.localhost", "wiki.localhost", "api.localhost"];
/// The name of the configuration file.
const CONFIG_FILE: &str = "portcullis.yaml";
/// The file of the client secret.
const CLIENT_SECRET_FILE: &str = "provider-secret";

/// Why the demonstration did not start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A port is taken or a file cannot be written.
    #[error("the demonstration could not be set up")]
    Io(#[from] io::Error),
    /// The certificate could not be made.
    #[error("no certificate could be made")]
    Certificate(#[from] rcgen::Error),
    /// No randomness.
    #[error("no randomness")]
    Randomness,
}

/// A running provider and two applications, with the certificate and the configuration that put Portcullis in front.
#[derive(Debug)]
pub struct Demo {
    public_port: u16,
    telemetry: SocketAddr,
    provider: Provider,
    hello: App,
    vault: App,
    certificate: config::Certificate,
    client_secret: String,
}

impl Demo {
    /// Starts provider and applications on free loopback ports; Portcullis is to listen on `public_port`.
    pub async fn start(public_port: u16) -> Result<Self, DemoError> {
        let certificate = config::Certificate::generate(
            &[[SIGN_IN_HOST, HELLO_HOST, VAULT_HOST].as_slice(), SPARE_HOSTS.as_slice()].concat(),
        )?;
        let client_secret = config::client_secret().map_err(|_| DemoError::Randomness)?;
        let origin = |host: &str| format!("https://{host}:{public_port}");
        let client = Client::confidential("portcullis", &client_secret, &origin(SIGN_IN_HOST));
        let provider = Provider::start(ProviderParts::on_any_port(vec![client])).await?;
        let app = |name: &str, about: &str, host: &str, neighbour: &str| AppParts {
            name: name.to_owned(),
            about: about.to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            route: origin(host),
            neighbours: vec![origin(neighbour)],
            trust: Trust::Authority(certificate.authority.clone()),
        };
        let hello = App::start(app("Hello", "Open to everybody who is signed in.", HELLO_HOST, VAULT_HOST)).await?;
        let vault = App::start(app("Vault", "For administrators only.", VAULT_HOST, HELLO_HOST)).await?;
        let telemetry = free_address_above(public_port).await?;
        Ok(Self { public_port, telemetry, provider, hello, vault, certificate, client_secret })
    }

    /// Writes configuration, certificate and client secret into `folder` (which only its owner should enter) and
    /// answers where the configuration is. State and sockets go below the same folder.
    pub fn write_into(&self, folder: &Path) -> io::Result<PathBuf> {
        let config::Certificate { authority, chain, key } = &self.certificate;
        config::write_private(&folder.join(CLIENT_SECRET_FILE), &self.client_secret)?;
        config::write_private(&folder.join("tls.key"), key)?;
        std::fs::write(folder.join("tls.crt"), chain)?;
        std::fs::write(folder.join("ca.crt"), authority)?;
        let file = folder.join(CONFIG_FILE);
        std::fs::write(&file, self.config_text(folder))?;
        Ok(file)
    }

    /// The configuration that puts Portcullis in front, with all paths below `folder`.
    #[must_use]
    pub fn config_text(&self, folder: &Path) -> String {
        config::text(self, folder)
    }

    /// What to open, as whom to sign in, five things to try; `folder` is where the configuration was written.
    #[must_use]
    pub fn welcome(&self, folder: &Path) -> String {
        text::welcome(self, folder)
    }

    /// The provider, for faults.
    #[must_use]
    pub const fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The application for everybody.
    #[must_use]
    pub const fn hello(&self) -> &App {
        &self.hello
    }

    /// The application for administrators.
    #[must_use]
    pub const fn vault(&self) -> &App {
        &self.vault
    }

    /// The certificate authority that the certificate goes back to, as PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.certificate.authority
    }

    /// Where metrics and probes are to be served.
    #[must_use]
    pub const fn telemetry(&self) -> SocketAddr {
        self.telemetry
    }

    /// The port of the public listener.
    #[must_use]
    pub const fn public_port(&self) -> u16 {
        self.public_port
    }

    /// `https://host:port` of one of the demonstration's hosts.
    pub(crate) fn origin(&self, host: &str) -> String {
        format!("https://{host}:{}", self.public_port)
    }

    /// Walks the whole tour unattended; prints a line for each step that went well.
    pub async fn check<O: Operator>(&self, parts: TourParts<'_, O>) -> Result<Report, StepFailed> {
        check::walk(self, parts).await
    }
}

/// The first loopback address above `port` that nobody listens on right now: the configuration needs it before
/// somebody does.
async fn free_address_above(port: u16) -> io::Result<SocketAddr> {
    let mut refusal = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for above in (port..u16::MAX).skip(1).take(100) {
        match tokio::net::TcpListener::bind(("127.0.0.1", above)).await {
            Ok(listener) => return listener.local_addr(),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}
