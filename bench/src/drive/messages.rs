//! WebSocket messages to an echo and back, one at a time on each connection.

use std::io;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::order::Order;
use super::tally::Tally;
use super::tls::{Tickets, config, connect};
use crate::load::system::SOCKET_PATH;

/// Bytes of a message.
const MESSAGE: usize = 128;

/// Sends and awaits messages on one connection until dropped, or until the connection fails.
///
/// # Errors
/// No connection, no handshake, or an end before its time; counted too.
pub async fn worker(order: Order, tally: Arc<Tally>) -> io::Result<()> {
    let ended = talk(&order, &tally).await;
    tally.count(false);
    ended
}

async fn talk(order: &Order, tally: &Tally) -> io::Result<()> {
    let config = config(&order.roots, &["http/1.1"], Tickets::Dropped)?;
    let stream = connect(order, &config).await?;
    let address = format!("wss://{}{SOCKET_PATH}", order.authority());
    let mut request = address.into_client_request().map_err(io::Error::other)?;
    for (name, value) in &order.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
        request.headers_mut().insert(name, HeaderValue::from_str(value).map_err(io::Error::other)?);
    }
    let (mut socket, _) = client_async(request, stream).await.map_err(io::Error::other)?;
    let message = Message::Binary(Bytes::from(vec![7; MESSAGE]));
    loop {
        socket.send(message.clone()).await.map_err(io::Error::other)?;
        let echo = socket.next().await.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
        tally.count(echo == message);
    }
}
