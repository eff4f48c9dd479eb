//! gRPC calls with one message each way, several at a time on each connection.

use std::io;
use std::sync::Arc;

use h2::client::SendRequest;
use http::{HeaderMap, Request};
use tokio_util::bytes::Bytes;

use super::order::Order;
use super::tally::Tally;
use super::tls::{Tickets, config, connect};
use crate::load::system::UNARY_PATH;

/// Calls at one time on a connection.
pub const STREAMS: usize = 8;

/// A message of 64 bytes in its frame: not compressed, its length, itself.
#[must_use]
pub fn message() -> Bytes {
    let mut framed = vec![0, 0, 0, 0, 64];
    framed.resize(5 + 64, 7);
    Bytes::from(framed)
}

/// Calls over one connection until dropped, or until the connection fails.
///
/// # Errors
/// No connection, or an end before its time; counted too.
pub async fn worker(order: Order, tally: Arc<Tally>) -> io::Result<()> {
    let config = config(&order.roots, &["h2"], Tickets::Dropped)?;
    let opened = async {
        let stream = connect(&order, &config).await?;
        h2::client::handshake(stream).await.map_err(io::Error::other)
    };
    let (calls, connection) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            tally.count(false);
            return Err(error);
        }
    };
    let lanes: Vec<_> = (0..STREAMS).map(|_| lane(&order, calls.clone(), &tally)).collect();
    tokio::select! {
        ended = connection => {
            tally.count(false);
            ended.map_err(io::Error::other)
        }
        _ = futures_util::future::join_all(lanes) => Ok(()),
    }
}

async fn lane(order: &Order, calls: SendRequest<Bytes>, tally: &Tally) {
    loop {
        let answered = call(order, &calls).await;
        let good = answered.as_ref().is_ok_and(|status| status.as_deref() == Some("0"));
        tally.count(good);
        if answered.is_err() {
            return;
        }
    }
}

/// One call; the `grpc-status` if an answer came.
async fn call(order: &Order, calls: &SendRequest<Bytes>) -> io::Result<Option<String>> {
    let mut request = Request::post(format!("https://{}{UNARY_PATH}", order.authority()))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in &order.headers {
        request = request.header(name, value);
    }
    let request = request.body(()).map_err(io::Error::other)?;
    let mut ready = calls.clone().ready().await.map_err(io::Error::other)?;
    let (answer, mut body) = ready.send_request(request, false).map_err(io::Error::other)?;
    body.send_data(message(), true).map_err(io::Error::other)?;
    let answer = answer.await.map_err(io::Error::other)?;
    let early = status(Some(answer.headers()));
    let mut stream = answer.into_body();
    while let Some(piece) = stream.data().await {
        let piece = piece.map_err(io::Error::other)?;
        stream.flow_control().release_capacity(piece.len()).map_err(io::Error::other)?;
    }
    let trailers = stream.trailers().await.map_err(io::Error::other)?;
    Ok(status(trailers.as_ref()).or(early))
}

fn status(fields: Option<&HeaderMap>) -> Option<String> {
    fields?.get("grpc-status")?.to_str().ok().map(str::to_owned)
}
