//! A server-sent event stream that ticks every second for as long as the edge lets it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::json;

use crate::site::{Answer, Body, answer};

/// From one event to the next.
const TICK: Duration = Duration::from_secs(1);

/// Counts a stream while it is open.
#[derive(Debug)]
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The stream; the first event comes at once.
pub(super) fn stream(app: &str, count: Arc<AtomicUsize>) -> Answer {
    let app = app.to_owned();
    let ticks =
        stream::unfold((0_u64, Open::new(count), tokio::time::interval(TICK)), move |(tick, open, mut clock)| {
            let app = app.clone();
            async move {
                clock.tick().await;
                let event = format!("id: {tick}\ndata: {}\n\n", json!({ "tick": tick, "app": app }));
                Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), (tick + 1, open, clock)))
            }
        });
    let body: Body = StreamBody::new(ticks).boxed_unsync();
    let (head, _) = answer(StatusCode::OK, "text/event-stream", "").into_parts();
    http::Response::from_parts(head, body)
}
