//! Handshakes: the clients of each host are asked for the certificates that its routes want, and nobody else is.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256};
use portcullis_config::{ClientTrust, Enforcement};
use portcullis_gate::{ClientRules, PresentedCertificate, PresentedChain};
use portcullis_identity::Clock;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use rustls::server::danger::ClientCertVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::asking::{Asking, is_valid_by_any};
use super::{Certificates, Tickets, server_config};

/// Shakes hands by the newest rules.
pub(crate) struct Handshakes {
    material: Material,
    newest: ArcSwap<Doors>,
}

/// What the doors of every generation are made of.
struct Material {
    certificates: Arc<ArcSwap<Certificates>>,
    tickets: Option<Tickets>,
    clock: Arc<dyn Clock>,
}

/// One generation.
pub(crate) struct Doors {
    rules: Arc<ClientRules>,
    /// Where nobody is asked.
    silent: Arc<ServerConfig>,
    /// By the digest of what is asked for.
    asking: HashMap<[u8; 32], Arc<ServerConfig>>,
}

impl Handshakes {
    /// Handshakes of a first generation.
    ///
    /// # Errors
    /// The TLS library refuses its own defaults.
    pub(crate) fn new(
        certificates: Arc<ArcSwap<Certificates>>,
        tickets: Option<Tickets>,
        clock: Arc<dyn Clock>,
        rules: &Arc<ClientRules>,
    ) -> Result<Self, rustls::Error> {
        let material = Material { certificates, tickets, clock };
        let doors = material.doors(rules)?;
        Ok(Self { material, newest: ArcSwap::from_pointee(doors) })
    }

    /// The doors of the next generation, still closed.
    ///
    /// # Errors
    /// As of [`Handshakes::new`].
    pub(crate) fn prepare(&self, rules: &Arc<ClientRules>) -> Result<Doors, rustls::Error> {
        self.material.doors(rules)
    }

    /// New connections come by these doors from now on.
    pub(crate) fn publish(&self, doors: Doors) {
        self.newest.store(Arc::new(doors));
    }

    /// Shakes hands, and tells what certificate the client has; whoever sent one has its key.
    ///
    /// # Errors
    /// The handshake fails, or the client is not let in without a valid certificate.
    pub(crate) async fn accept<S>(&self, socket: S) -> io::Result<(TlsStream<S>, PresentedCertificate)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let doors = self.newest.load_full();
        if !doors.rules.asks() {
            let tls = TlsAcceptor::from(Arc::clone(&doors.silent)).accept(socket).await?;
            return Ok((tls, PresentedCertificate::Absent));
        }
        let start = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
        let name = start.client_hello().server_name().unwrap_or_default().to_ascii_lowercase();
        // The root's dot is no part of a canonical host.
        let name = name.strip_suffix('.').unwrap_or(&name);
        let trusts = doors.rules.of(name);
        let config = self.material.config(&doors, &trusts).map_err(io::Error::other)?;
        let tls = start.into_stream(config).await?;
        let chain = tls.get_ref().1.peer_certificates().filter(|_| !trusts.is_empty());
        let presented = match chain {
            None => PresentedCertificate::Absent,
            Some(chain) => {
                let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
                let chain =
                    PresentedChain::new(chain).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                PresentedCertificate::Chain(Arc::new(chain))
            }
        };
        // A resumed handshake brings its certificate along and asks no verifier: it is judged here again.
        let demanded = doors.rules.enforcement() == Enforcement::RejectConnection && !trusts.is_empty();
        if demanded && !is_valid_by_any(&presented, &trusts, self.material.clock.now()) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "no valid client certificate"));
        }
        Ok((tls, presented))
    }
}

impl Material {
    fn doors(&self, rules: &Arc<ClientRules>) -> Result<Doors, rustls::Error> {
        let silent = server_config(Arc::clone(&self.certificates), self.tickets.clone(), None)?;
        let mut doors = Doors { rules: Arc::clone(rules), silent, asking: HashMap::new() };
        // The empty name stands for every host without roots of its own.
        for host in rules.hosts().chain([""]) {
            let trusts = rules.of(host);
            let digest = digest(&trusts, rules.enforcement());
            if !trusts.is_empty() && !doors.asking.contains_key(&digest) {
                let config = self.asking(&trusts, rules.enforcement(), digest)?;
                doors.asking.insert(digest, config);
            }
        }
        Ok(doors)
    }

    /// The configuration for whoever asks for these; made now only where patterns overlap.
    fn config(&self, doors: &Doors, trusts: &[Arc<ClientTrust>]) -> Result<Arc<ServerConfig>, rustls::Error> {
        if trusts.is_empty() {
            return Ok(Arc::clone(&doors.silent));
        }
        let enforcement = doors.rules.enforcement();
        let digest = digest(trusts, enforcement);
        match doors.asking.get(&digest) {
            Some(config) => Ok(Arc::clone(config)),
            None => self.asking(trusts, enforcement, digest),
        }
    }

    fn asking(
        &self,
        trusts: &[Arc<ClientTrust>],
        enforcement: Enforcement,
        digest: [u8; 32],
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        // A ticket is good only where the same certificates are asked for: one from a time when none was, or
        // others, would skip the asking for hours.
        let tickets = self.tickets.as_ref().map(|tickets| tickets.bound_to(digest));
        let asking: Arc<dyn ClientCertVerifier> = Arc::new(Asking::new(trusts, enforcement, Arc::clone(&self.clock)));
        server_config(Arc::clone(&self.certificates), tickets, Some(asking))
    }
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshakes")
    }
}

/// Names what a host asks of client certificates.
fn digest(trusts: &[Arc<ClientTrust>], enforcement: Enforcement) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(&[u8::from(enforcement == Enforcement::RejectConnection)]);
    for trust in trusts {
        context.update(&trust.digest);
    }
    <[u8; 32]>::try_from(context.finish().as_ref()).unwrap_or_default()
}
