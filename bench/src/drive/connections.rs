//! A new TLS connection for each request, with a full or a resumed handshake.

use std::io;
use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::order::Order;
use super::tally::Tally;
use super::tls::{Tickets, config, connect};

/// Asks over one new connection after the other until dropped.
///
/// # Errors
/// The root cannot be read.
pub async fn worker(order: Order, tickets: Tickets, tally: Arc<Tally>) -> io::Result<()> {
    let config = config(&order.roots, &["http/1.1"], tickets)?;
    let expected = match tickets {
        Tickets::Kept => HandshakeKind::Resumed,
        Tickets::Dropped => HandshakeKind::Full,
    };
    let head = order.head("close");
    // The first connection has nothing to resume; it brings the tickets and is not counted.
    drop(once(&order, &config, &head).await);
    loop {
        let kind = once(&order, &config, &head).await;
        tally.count(kind.is_ok_and(|kind| kind == Some(expected)));
    }
}

/// One connection and one request; the kind of handshake if the answer is as it should be.
async fn once(order: &Order, config: &Arc<ClientConfig>, head: &str) -> io::Result<Option<HandshakeKind>> {
    let mut stream = connect(order, config).await?;
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::with_capacity(2048);
    match stream.read_to_end(&mut answer).await {
        Ok(_) => {}
        // Some end TCP without ending TLS; the answer is whole by its length all the same.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(error),
    }
    let good = answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"0123456789abcdef");
    Ok(stream.get_ref().1.handshake_kind().filter(|_| good))
}
