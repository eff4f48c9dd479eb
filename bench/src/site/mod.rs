//! A whole Portcullis under measurement: folder, keys, configuration of any number of routes, and the real binary.
//!
//! Whoever measures holds the cluster secret, so sessions are made through the broker's socket as the sign-in
//! service makes them, and cookies are minted for any number of hosts without a sign-in for each.

mod origin;
pub mod people;
mod process;
mod visitor;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_broker_api::{BrokerClient, Endpoint};
use portcullis_identity::{Clock as _, SessionKey, SystemClock};
use portcullis_keys::{CredentialKind, Handle, KeyRing, ServiceRole, SystemRandom};
use tempfile::TempDir;

pub use origin::{Origin, STREAM};
pub use process::{Process, Reload};
pub use visitor::{Asked, Visitor, Way};

/// The host people sign in on.
const SIGN_IN_HOST: &str = "auth.localhost";
/// The client's secret at the provider.
pub const CLIENT_SECRET: &str = "a-secret-of-the-yardstick";

/// The folder of one measured system, and what is needed to talk to it.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    binary: PathBuf,
    ring: KeyRing,
    authority: String,
    address: SocketAddr,
    telemetry: SocketAddr,
    origin: SocketAddr,
    issuer: String,
}

impl Site {
    /// Lays out a folder with keys and a certificate; `origin` is behind every route.
    ///
    /// # Errors
    /// The folder cannot be written, or no port is free.
    pub fn new(binary: &Path, origin: SocketAddr) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("portcullis-bench").tempdir()?;
        let (ring, text) = KeyRing::generate(&SystemRandom);
        // Clients take no wildcard directly below a top-level name; every connection is made to the first host.
        let names = [SIGN_IN_HOST.to_owned(), Self::host(0)];
        let certified = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let authority = certified.cert.pem();
        let files = [
            ("ring", text.as_str()),
            ("client-secret", CLIENT_SECRET),
            ("tls.pem", &authority),
            ("tls.key", &certified.signing_key.serialize_pem()),
        ];
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        // Both at once: one after the other they could be the same.
        let free = || std::net::TcpListener::bind("127.0.0.1:0");
        let (first, second) = (free()?, free()?);
        let (address, telemetry) = (first.local_addr()?, second.local_addr()?);
        // A provider that nobody asks; `behind` names one that answers.
        let issuer = "http://127.0.0.1:9".to_owned();
        Ok(Self { folder, binary: binary.to_owned(), ring, authority, address, telemetry, origin, issuer })
    }

    /// With this provider behind the sign-in.
    #[must_use]
    pub fn behind(mut self, issuer: &str) -> Self {
        issuer.clone_into(&mut self.issuer);
        self
    }

    /// `https://auth.localhost:PORT`.
    #[must_use]
    pub fn sign_in_origin(&self) -> String {
        format!("https://{SIGN_IN_HOST}:{}", self.address.port())
    }

    /// The host of route `number`.
    #[must_use]
    pub fn host(number: usize) -> String {
        format!("app{number}.localhost")
    }

    /// The address of route `number`.
    #[must_use]
    pub fn url(&self, number: usize) -> String {
        format!("https://{}:{}/", Self::host(number), self.address.port())
    }

    /// The PEM that clients trust.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Writes a configuration of `routes` routes, each with a host and a policy of its own, in one step. `mark`
    /// changes every policy and no decision.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, routes: usize, mark: &str) -> io::Result<()> {
        let fresh = self.folder.path().join("portcullis.new");
        fs::write(&fresh, self.text(routes, mark))?;
        fs::rename(fresh, self.config())
    }

    /// Writes a configuration of `routes` routes for everybody who is signed in.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_for_everybody(&self, routes: usize) -> io::Result<()> {
        let text = self.text(routes, "nobody").replace("domain: corp.example", "authenticated_user: true");
        fs::write(self.config(), text)
    }

    /// Starts the binary and waits until it is ready.
    ///
    /// # Errors
    /// It ends early, or is not ready within a minute.
    pub async fn start(&self) -> io::Result<Process> {
        Process::start(&self.binary, (&self.config(), self.telemetry), self.folder.path()).await
    }

    /// A client of the running broker that speaks as `role`.
    #[must_use]
    pub fn broker(&self, role: ServiceRole) -> BrokerClient {
        BrokerClient::connect_lazy(Endpoint::Unix(self.folder.path().join("run/broker.sock")), role)
    }

    /// The handle of person `number`, and with it the key of their session.
    #[must_use]
    pub fn handle(number: u64) -> Handle {
        Handle::from_bytes(u128::from(number).to_be_bytes())
    }

    /// The key of person `number`'s session.
    #[must_use]
    pub fn key(number: u64) -> SessionKey {
        Self::handle(number).key()
    }

    /// Signs person `number` in at the broker, as the sign-in service does.
    ///
    /// # Errors
    /// The broker does not keep the session.
    pub async fn sign_in(&self, broker: &BrokerClient, number: u64) -> io::Result<()> {
        let session = people::session(number, Self::key(number), SystemClock.now());
        broker.create(session).await.map(drop).map_err(io::Error::other)
    }

    /// The `Cookie` header of person `number` on the host of route `route`.
    ///
    /// # Errors
    /// Never: the ring is a whole one.
    pub fn cookie(&self, number: u64, route: usize) -> io::Result<String> {
        let keys = self.ring.credential().map_err(io::Error::other)?;
        let credential = keys.mint(CredentialKind::Session, &Self::handle(number), &Self::host(route));
        Ok(format!("__Host-portcullis={credential}"))
    }

    /// The way to the public listener.
    ///
    /// # Errors
    /// Never: certificate and name are our own.
    pub fn way(&self) -> io::Result<Way> {
        Way::new(self.address, self.authority.as_bytes(), &Self::host(0))
    }

    /// A GET of `path` on route `route` as person `number`.
    ///
    /// # Errors
    /// As [`Site::cookie`].
    pub fn asked(&self, number: u64, route: usize, path: &str) -> io::Result<Asked> {
        let host = format!("{}:{}", Self::host(route), self.address.port());
        Ok(Asked::get(&host, path, &self.cookie(number, route)?))
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("portcullis.yaml")
    }

    fn text(&self, routes: usize, mark: &str) -> String {
        let Self { folder, address, telemetry, origin, issuer, .. } = self;
        let (place, port) = (folder.path().display(), address.port());
        let mut text = format!(
            "directories: {{run_dir: \"{place}/run\", state_dir: \"{place}/state\"}}\n\
             secret: {{file: \"{place}/ring\"}}\n\
             listen: {{public: \"{address}\", telemetry: \"{telemetry}\"}}\n\
             tls: {{certificates: [{{cert: {{file: \"{place}/tls.pem\"}}, key: {{file: \"{place}/tls.key\"}}}}]}}\n\
             sign_in: {{host: {SIGN_IN_HOST}}}\n\
             providers:\n  demo: {{issuer: \"{issuer}\", client_id: portcullis, client_secret: {{file: \"{place}/client-secret\"}}, scopes: [openid, profile, email, groups]}}\n\
             limits: {{connections_per_prefix: 60000, sign_ins_per_prefix: 1000000}}\n\
             replica: {{max_bytes: 8GiB}}\n\
             telemetry: {{log: error}}\n\
             drain: {{delay: 0s, timeout: 1s, h2: 1s}}\n\
             routes:\n"
        );
        for number in 0..routes {
            let host = Self::host(number);
            // Writing to a String cannot fail.
            let _infallible = writeln!(
                text,
                "- from: https://{host}:{port}\n  to: http://{origin}\n  pass_identity_headers: true\n  policy:\n  - allow:\n      or:\n      - domain: corp.example\n      - email: {mark}{number}@partner.example"
            );
        }
        text
    }
}
