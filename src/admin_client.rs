//! Talks to a running process over its admin socket: `status`, `explain`, `decisions`, `reload`, `sessions`, `records`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper_util::rt::TokioIo;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use portcullis_config::ProcessEnvironment;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::cli::Admin;

/// The whole exchange.
const DEADLINE: Duration = Duration::from_secs(30);
/// The most an answer may have.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What the process answered.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: StatusCode,
    /// The JSON it sent.
    pub(crate) body: Value,
}

/// The admin socket that the options name. Whether the configuration is any good is for the process to say that runs it.
///
/// # Errors
/// The configuration's file cannot be read and no socket is named.
pub(crate) fn socket(admin: &Admin) -> Result<PathBuf> {
    if let Some(socket) = &admin.socket {
        return Ok(socket.clone());
    }
    let found = portcullis_config::directories(&admin.file.config, &ProcessEnvironment);
    Ok(found.into_diagnostic().wrap_err("where is the admin socket? `--socket` names it")?.run.join("admin.sock"))
}

/// Asks the process behind `socket`.
///
/// # Errors
/// Nobody listens, or the answer is not JSON or too late.
pub(crate) async fn ask(socket: &Path, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
    let content = body.map(ToString::to_string).unwrap_or_default();
    let exchange = exchange(socket, method, path, Full::new(Bytes::from(content)));
    tokio::time::timeout(DEADLINE, exchange).await.map_err(|_late| miette!("no answer within {DEADLINE:?}"))?
}

/// Sends a body that is made while it is sent, which takes as long as it takes.
///
/// # Errors
/// Nobody listens, the body breaks off, or the answer is not JSON.
pub(crate) async fn send<B>(socket: &Path, path: &str, body: B) -> Result<Reply>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    exchange(socket, Method::POST, path, body).await
}

async fn exchange<B>(socket: &Path, method: Method, path: &str, body: B) -> Result<Reply>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = UnixStream::connect(socket).await.into_diagnostic().wrap_err_with(|| {
        format!("{}: no Portcullis answers there; is it running, and are you its user?", socket.display())
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.into_diagnostic()?;
    let request =
        Request::builder().method(method).uri(path).header(header::HOST, "admin").body(body).into_diagnostic()?;
    let answer = async {
        let answer = sender.send_request(request).await.into_diagnostic()?;
        let status = answer.status();
        let bytes = Limited::new(answer.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| miette!("the answer broke off: {error}"))?
            .to_bytes();
        let body = serde_json::from_slice(&bytes).into_diagnostic().wrap_err("the answer is not JSON")?;
        Ok(Reply { status, body })
    };
    tokio::pin!(answer);
    // The connection must be polled for the answer to come; when it ends first, the answer is there or never will be.
    tokio::select! {
        answer = answer.as_mut() => answer,
        _ended = connection => answer.await,
    }
}
