//! A client on one TLS connection: HTTP/1.1, one request after the other, each answer read to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The longest head of an answer.
const MAX_HEAD: usize = 64 * 1024;

/// How a visitor reaches the edge.
#[derive(Clone)]
pub struct Way {
    address: SocketAddr,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The request's bytes.
    head: Vec<u8>,
}

impl Asked {
    /// A GET of `path` on `host` with this `Cookie` header.
    #[must_use]
    pub fn get(host: &str, path: &str, cookie: &str) -> Self {
        let text = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\ncookie: {cookie}\r\n\r\n");
        Self { head: text.into_bytes() }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Visitor {
    stream: TlsStream<TcpStream>,
    held: Vec<u8>,
    chunk: Vec<u8>,
}

impl Way {
    /// To `address`, trusting this authority (PEM) alone, under the name `name`.
    ///
    /// # Errors
    /// The authority is none, or the name.
    pub fn new(address: SocketAddr, authority: &[u8], name: &str) -> io::Result<Self> {
        use rustls::pki_types::pem::PemObject as _;
        let mut roots = rustls::RootCertStore::empty();
        let certificate = rustls::pki_types::CertificateDer::from_pem_slice(authority).map_err(io::Error::other)?;
        roots.add(certificate).map_err(io::Error::other)?;
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        Ok(Self { address, name, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// It is refused.
    pub async fn connect(&self) -> io::Result<Visitor> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(self.name.clone(), stream).await?;
        Ok(Visitor { stream, held: Vec::new(), chunk: vec![0; 4096] })
    }
}

impl Visitor {
    /// Asks and answers the status; the body, which has a `content-length`, is read and dropped.
    ///
    /// # Errors
    /// The connection ends before the answer does.
    pub async fn ask(&mut self, asked: &Asked) -> io::Result<u16> {
        let (status, length) = self.head(asked).await?;
        while self.held.len() < length {
            self.read().await?;
        }
        self.held.drain(..length);
        Ok(status)
    }

    /// Asks for a stream and answers the status; its first bytes may have arrived.
    ///
    /// # Errors
    /// The connection ends before the head does.
    pub async fn open(&mut self, asked: &Asked) -> io::Result<u16> {
        let (status, _) = self.head(asked).await?;
        Ok(status)
    }

    /// Waits for more of an open stream and drops it.
    ///
    /// # Errors
    /// The stream has ended.
    pub async fn more(&mut self) -> io::Result<()> {
        self.held.clear();
        self.read().await
    }

    async fn head(&mut self, asked: &Asked) -> io::Result<(u16, usize)> {
        self.stream.write_all(&asked.head).await?;
        self.stream.flush().await?;
        loop {
            if let Some(end) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.held.drain(..end.saturating_add(4)).collect();
                let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
                let status = status.ok_or_else(|| io::Error::other("an answer without a status"))?;
                return Ok((status, length.unwrap_or(0)));
            }
            if self.held.len() > MAX_HEAD {
                return Err(io::Error::other("a head without an end"));
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        let read = self.stream.read(&mut self.chunk).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.held.extend_from_slice(self.chunk.get(..read).unwrap_or_default());
        Ok(())
    }
}
