//! The service behind the edge: answers at once, or streams for as long as it may.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// Where an endless event stream begins.
pub const STREAM: &str = "/stream";
/// From one event to the next.
const TICK: Duration = Duration::from_millis(100);
/// The longest head of a request.
const MAX_HEAD: usize = 32 * 1024;

/// A running origin; ends when dropped.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Origin {
    /// Starts one on a free port of loopback.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A connection that the edge closes ends its task.
                tokio::spawn(async move { drop(serve(stream).await) });
            }
        });
        Ok(Self { address, _task: AbortOnDropHandle::new(task) })
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut held = Vec::new();
    let mut chunk = vec![0; 8 * 1024];
    loop {
        while let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            let streams = held.starts_with(format!("GET {STREAM}").as_bytes());
            held.drain(..end.saturating_add(4));
            if streams {
                return tick(stream).await;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nok\n").await?;
        }
        let read = stream.read(&mut chunk).await?;
        held.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if read == 0 || held.len() > MAX_HEAD {
            return Ok(());
        }
    }
}

async fn tick(mut stream: TcpStream) -> io::Result<()> {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head).await?;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        stream.write_all(b"9\r\ndata: t\n\n\r\n").await?;
    }
}
