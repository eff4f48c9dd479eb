//! Clients: raw HTTP/1 over TLS, and HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::world::World;

/// The longest a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type Tls = TlsStream<TcpStream>;

impl World {
    pub(crate) fn tls_config(&self, alpn: &[&[u8]]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }

    pub(crate) async fn try_tls(&self, name: &str, alpn: &[&[u8]]) -> std::io::Result<Tls> {
        let socket = TcpStream::connect(self.address).await?;
        let connector = TlsConnector::from(Arc::new(self.tls_config(alpn)));
        connector.connect(ServerName::try_from(name.to_owned()).unwrap(), socket).await
    }

    pub(crate) async fn tls(&self, name: &str) -> Tls {
        self.try_tls(name, &[b"http/1.1"]).await.unwrap()
    }

    /// Sends bytes and reads until the proxy closes.
    pub(crate) async fn raw(&self, name: &str, request: &str) -> String {
        let mut stream = self.tls(name).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }

    /// A GET with further header lines, each with its line end.
    pub(crate) async fn get(&self, host: &str, path: &str, lines: &str) -> String {
        self.raw(host, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n")).await
    }

    pub(crate) async fn h2(&self, name: &str) -> h2::client::SendRequest<Bytes> {
        let stream = self.try_tls(name, &[b"h2"]).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        send.ready().await.unwrap()
    }
}

/// Everything until the end, which may be abrupt.
pub(crate) async fn read_all(stream: &mut Tls) -> String {
    let mut bytes = Vec::new();
    drop(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("connection stays open"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `mark` has come.
pub(crate) async fn read_until(stream: &mut Tls, mark: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(mark) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.expect("no answer").unwrap();
        assert_ne!(read, 0, "closed after {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

/// One whole answer, whose body has a length; the connection may stay open.
pub(crate) async fn read_answer(stream: &mut Tls) -> String {
    let mut text = read_until(stream, "\r\n\r\n").await;
    let length: usize = values(&text, "content-length").first().unwrap().parse().unwrap();
    let read = text.split_once("\r\n\r\n").unwrap().1.len();
    let mut rest = vec![0; length - read];
    stream.read_exact(&mut rest).await.unwrap();
    text.push_str(&String::from_utf8_lossy(&rest));
    text
}

pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status in {answer:?}"))
}

/// The values of a header, in order.
pub(crate) fn values<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}
