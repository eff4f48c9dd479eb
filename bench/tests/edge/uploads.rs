//! Large uploads to an upstream that does not read: the client has to wait, the process holds next to nothing, and in
//! the end every byte has passed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use http::{Method, Request, Response};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::edge::{Edge, PATIENCE};

/// One upload.
const UPLOAD: u64 = 64 << 20;

/// What the process may grow by meanwhile.
const GROWTH: u64 = 16 << 20;

/// What may be on the way when nobody reads: the kernel's socket buffers on both sides of the proxy.
const ON_THE_WAY: u64 = 32 << 20;

const PIECE: usize = 64 << 10;

/// How long nothing moves before we call it standstill.
const STANDSTILL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// The bytes of an upload, never twice the same piece.
fn piece(number: u64) -> Bytes {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(PIECE);
    while bytes.len() < PIECE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    Bytes::from(bytes)
}

fn hex(context: Context) -> String {
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An upstream that reads the head and then nothing until `open`; answers the digest of the body.
async fn upstream(protocol: Protocol, open: watch::Receiver<bool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let open = open.clone();
            match protocol {
                Protocol::Http1 => tokio::spawn(swallow_http1(socket, open)),
                Protocol::Http2 => tokio::spawn(swallow_http2(socket, open)),
            };
        }
    });
    port
}

async fn swallow_http1(mut socket: TcpStream, mut open: watch::Receiver<bool>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut left: u64 = length.parse().unwrap();
    open.wait_for(|open| *open).await.unwrap();
    let (mut digest, mut buffer) = (Context::new(&SHA256), vec![0; PIECE]);
    while left > 0 {
        let read = socket.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "{left} bytes are missing");
        digest.update(&buffer[..read]);
        left -= u64::try_from(read).unwrap();
    }
    let answer = hex(digest);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}", answer.len());
    socket.write_all(answer.as_bytes()).await.unwrap();
}

async fn swallow_http2(socket: TcpStream, open: watch::Receiver<bool>) {
    let mut connection = h2::server::handshake(socket).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let mut open = open.clone();
        tokio::spawn(async move {
            let mut body = request.into_body();
            open.wait_for(|open| *open).await.unwrap();
            let mut digest = Context::new(&SHA256);
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                digest.update(&data);
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            let answer = hex(digest);
            let head = Response::builder().header("content-length", answer.len()).body(()).unwrap();
            respond.send_response(head, false).unwrap().send_data(Bytes::from(answer), true).unwrap();
        });
    }
}

/// An upload under way: how much the client could write, and then the digest it sent with the answer it got.
struct Upload {
    written: Arc<AtomicU64>,
    task: JoinHandle<(String, String)>,
}

async fn tls(edge: &Edge, host: &str, alpn: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(edge.demo.authority().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let socket = TcpStream::connect(("127.0.0.1", edge.demo.public_port())).await.unwrap();
    // What is left of a piece would wait for an acknowledgement.
    socket.set_nodelay(true).unwrap();
    let name = ServerName::try_from(format!("{host}.localhost")).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
}

impl Upload {
    async fn begin(edge: &Edge, host: &str, protocol: Protocol, length: u64) -> Self {
        let written = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&written);
        let address = edge.url(host, "/upload");
        let task = match protocol {
            Protocol::Http1 => {
                let stream = tls(edge, host, b"http/1.1").await;
                let authority = address.trim_start_matches("https://").trim_end_matches("/upload").to_owned();
                tokio::spawn(upload_http1(stream, authority, length, count))
            }
            Protocol::Http2 => {
                let stream = tls(edge, host, b"h2").await;
                tokio::spawn(upload_http2(stream, address, length, count))
            }
        };
        Self { written, task }
    }

    /// Waits until the client has not been able to write for a while; answers how much it wrote.
    async fn standstill(&self) -> u64 {
        let mut looks = interval(STANDSTILL);
        let mut before = u64::MAX;
        timeout(PATIENCE, async {
            loop {
                looks.tick().await;
                let now = self.written.load(Ordering::SeqCst);
                if now > 0 && now == before {
                    return now;
                }
                before = now;
            }
        })
        .await
        .expect("the client never has to wait")
    }
}

async fn upload_http1(
    mut stream: TlsStream<TcpStream>,
    authority: String,
    length: u64,
    written: Arc<AtomicU64>,
) -> (String, String) {
    let head =
        format!("POST /upload HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut digest = Context::new(&SHA256);
    for number in 0..length / u64::try_from(PIECE).unwrap() {
        let piece = piece(number);
        digest.update(&piece);
        stream.write_all(&piece).await.unwrap();
        written.fetch_add(u64::try_from(PIECE).unwrap(), Ordering::SeqCst);
    }
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    // The end may be abrupt; the digest says whether the answer is whole.
    drop(stream.read_to_end(&mut answer).await);
    let answer = String::from_utf8(answer).unwrap();
    (hex(digest), answer.split("\r\n\r\n").nth(1).unwrap_or(&answer).to_owned())
}

async fn upload_http2(
    stream: TlsStream<TcpStream>,
    address: String,
    length: u64,
    written: Arc<AtomicU64>,
) -> (String, String) {
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let driven = tokio::spawn(connection);
    let request = Request::builder().method(Method::POST).uri(address).header("content-length", length);
    let mut client = client.ready().await.unwrap();
    let (answer, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
    let mut digest = Context::new(&SHA256);
    for number in 0..length / u64::try_from(PIECE).unwrap() {
        let mut rest = piece(number);
        digest.update(&rest);
        while !rest.is_empty() {
            body.reserve_capacity(rest.len());
            let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await.expect("the stream is open").unwrap();
            let part = rest.split_to(room.min(rest.len()));
            written.fetch_add(u64::try_from(part.len()).unwrap(), Ordering::SeqCst);
            body.send_data(part, false).unwrap();
        }
    }
    body.send_data(Bytes::new(), true).unwrap();
    let mut told = answer.await.unwrap().into_body();
    let mut text = Vec::new();
    while let Some(data) = told.data().await {
        text.extend_from_slice(&data.unwrap());
    }
    driven.abort();
    (hex(digest), String::from_utf8(text).unwrap())
}

/// The memory that a process has in RAM now.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Takes samples of a process's memory; answers the most it had while `work` ran.
async fn peak<T>(process: u32, work: impl Future<Output = T>) -> (T, u64) {
    let mut looks = interval(Duration::from_millis(20));
    let mut most = 0;
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (done, most.max(resident(process))),
            _ = looks.tick() => most = most.max(resident(process)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_waits_for_its_upstream_and_takes_no_memory() {
    let (opens, open) = watch::channel(false);
    let mut edge = Edge::prepare().await;
    let port = edge.demo.public_port();
    let mut routes = String::new();
    for (name, scheme, protocol) in [("open", "http", Protocol::Http1), ("api", "h2c", Protocol::Http2)] {
        let upstream = upstream(protocol, open.clone()).await;
        routes.push_str(&format!(
            "  - {{from: \"https://{name}.localhost:{port}\", to: \"{scheme}://127.0.0.1:{upstream}\", allow_public_unauthenticated_access: true, timeout: 0, idle_timeout: 0}}\n"
        ));
    }
    edge.run("", &routes).await;
    let process = edge.services[0].id();
    let ways =
        [("open", Protocol::Http1), ("open", Protocol::Http2), ("api", Protocol::Http1), ("api", Protocol::Http2)];
    // What every way needs once is there before anything is measured.
    opens.send_replace(true);
    for (host, protocol) in ways {
        let (sent, told) = Upload::begin(&edge, host, protocol, 4 << 20).await.task.await.unwrap();
        assert_eq!(told, sent, "{host} {protocol:?}");
    }
    for (host, protocol) in ways {
        opens.send_replace(false);
        let before = resident(process);
        let upload = Upload::begin(&edge, host, protocol, UPLOAD).await;
        let (written, while_closed) = peak(process, upload.standstill()).await;
        assert!(written < ON_THE_WAY, "{host} {protocol:?}: {written} bytes left the client");
        opens.send_replace(true);
        let (done, while_open) = peak(process, timeout(4 * PATIENCE, upload.task)).await;
        let (sent, told) = done.expect("the upload ends").unwrap();
        assert_eq!(told, sent, "{host} {protocol:?}: not what was sent");
        let grown = while_closed.max(while_open).saturating_sub(before);
        assert!(grown < GROWTH, "{host} {protocol:?}: {grown} bytes more");
    }
}
