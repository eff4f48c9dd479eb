//! Writes an answer of ours to the client. Never `respond_error`: that closes the connection.

use bytes::Bytes;
use http::{Method, Response, StatusCode, Version, header};
use pingora_core::Result;
use pingora_core::protocols::http::HttpTask;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::Context;

/// Writes `response` and notes it for the access event.
///
/// # Errors
/// The client is gone.
pub(crate) async fn write(session: &mut Session, context: &mut Context, response: Response<Bytes>) -> Result<()> {
    let (parts, body) = response.into_parts();
    let mut head = ResponseHeader::build(parts.status, Some(parts.headers.len() + 2))?;
    for (name, value) in &parts.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    let bodiless =
        parts.status.is_informational() || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    // HTTP/2 says "no body" by its framing; gRPC clients stumble over a length in a trailers-only answer.
    let length_needed = !bodiless && (!body.is_empty() || session.req_header().version != Version::HTTP_2);
    if length_needed && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        head.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    context.record.status = Some(parts.status);
    let silent = bodiless || body.is_empty() || session.req_header().method == Method::HEAD;
    if silent {
        // As a task: only so does HTTP/2 end the stream with the head, as gRPC's trailers-only answers must.
        session.write_response_tasks(vec![HttpTask::Header(Box::new(head), true)]).await?;
    } else {
        session.write_response_header(Box::new(head), false).await?;
        context.sent += u64::try_from(body.len()).unwrap_or(u64::MAX);
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}
