//! HTTP/1.1 byte by byte over TLS: what no well-behaved client can send.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::edge::Edge;

/// The longest an answer may take: refusals come at once, deadlines of the edge are longer.
const ANSWER: Duration = Duration::from_secs(10);

/// An answer as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A TLS connection with HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
}

impl Wire {
    /// Connects under a host's name.
    pub(crate) async fn connect(edge: &Edge, host: &str) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(edge.demo.authority().as_bytes()).unwrap();
        roots.add(authority).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = TcpStream::connect(("127.0.0.1", edge.demo.public_port())).await.unwrap();
        let name = ServerName::try_from(format!("{host}.localhost")).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends bytes as they are; a peer that has hung up already is no error.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).await.is_ok() {
            let _gone = self.stream.flush().await;
        }
    }

    /// The next answer; `None` if the connection ended without one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.read[..head_end]).into_owned();
        self.read.drain(..head_end);
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Answer { status, head, body: String::new() };
        if (100..200).contains(&status) || status == 204 || status == 304 {
            return Some(answer);
        }
        let body = if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().unwrap();
            while self.read.len() < length && self.more().await {}
            self.read.drain(..length.min(self.read.len())).collect::<Vec<u8>>()
        } else if answer.header("transfer-encoding").is_some() {
            while find(&self.read, b"0\r\n\r\n").is_none() && self.more().await {}
            let end = find(&self.read, b"0\r\n\r\n").map_or(self.read.len(), |at| at + 5);
            unchunk(&self.read.drain(..end).collect::<Vec<u8>>())
        } else {
            while self.more().await {}
            std::mem::take(&mut self.read)
        };
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Some(answer)
    }

    /// Whether the peer has closed the connection; waits for it.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut rest = [0; 1024];
        loop {
            match timeout(ANSWER, self.stream.read(&mut rest)).await {
                Ok(Ok(0) | Err(_)) => return true,
                Ok(Ok(_)) => {}
                Err(_) => return false,
            }
        }
    }

    async fn more(&mut self) -> bool {
        let mut piece = [0; 8192];
        match timeout(ANSWER, self.stream.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => false,
            Ok(Ok(read)) => {
                self.read.extend_from_slice(&piece[..read]);
                true
            }
            Err(_) => panic!("no answer in {ANSWER:?}; read so far: {:?}", String::from_utf8_lossy(&self.read)),
        }
    }
}

/// One request on a connection of its own.
pub(crate) async fn ask(edge: &Edge, host: &str, request: &[u8]) -> Option<Answer> {
    let mut wire = Wire::connect(edge, host).await;
    wire.send(request).await;
    wire.answer().await
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = find(bytes, b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    whole
}
