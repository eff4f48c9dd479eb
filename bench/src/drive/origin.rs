//! What lies behind the systems beside the pages: an echo of WebSocket messages and a gRPC service.

use std::io;
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::accept_async;
use tokio_util::bytes::Bytes;

use super::unary::message;

/// Serves both until one of the listeners fails.
///
/// # Errors
/// An address is taken.
pub async fn serve(socket: SocketAddr, unary: SocketAddr) -> io::Result<()> {
    let (socket, unary) = (TcpListener::bind(socket).await?, TcpListener::bind(unary).await?);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => {
                connections.spawn(echo(accepted?.0));
            }
            accepted = unary.accept() => {
                connections.spawn(answer(accepted?.0));
            }
            // A connection that ended badly is the generator's to count.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = accept_async(stream).await.map_err(io::Error::other)?;
    while let Some(message) = socket.next().await {
        let message = message.map_err(io::Error::other)?;
        if message.is_binary() {
            socket.send(message).await.map_err(io::Error::other)?;
        }
    }
    Ok(())
}

async fn answer(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = h2::server::handshake(stream).await.map_err(io::Error::other)?;
    let mut calls = JoinSet::new();
    while let Some(call) = connection.accept().await {
        let (request, respond) = call.map_err(io::Error::other)?;
        while calls.try_join_next().is_some() {}
        calls.spawn(say(request, respond));
    }
    Ok(())
}

async fn say(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) -> io::Result<()> {
    let mut body = request.into_body();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(io::Error::other)?;
        body.flow_control().release_capacity(piece.len()).map_err(io::Error::other)?;
    }
    let head = Response::builder().header("content-type", "application/grpc").body(()).map_err(io::Error::other)?;
    let mut stream = respond.send_response(head, false).map_err(io::Error::other)?;
    stream.send_data(message(), false).map_err(io::Error::other)?;
    let trailers =
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    stream.send_trailers(trailers).map_err(io::Error::other)
}
