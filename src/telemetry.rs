//! The telemetry listener: `/metrics`, `/livez`, `/readyz`. No authentication, so it binds to loopback by default.

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use prometheus::{Encoder, Registry, TextEncoder};
use serde_json::json;

use crate::http_server::{Answer, answer, json as json_answer};
use crate::readiness::{Readiness, Stage};

/// Something that can be worse than well without being down: shown by `/readyz` and `status`.
pub(crate) type Degradation = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// What the telemetry listener shows.
#[derive(Clone)]
pub(crate) struct Telemetry {
    /// All metrics of the process.
    pub(crate) registry: Registry,
    /// The process's stage.
    pub(crate) readiness: Arc<Readiness>,
    /// What is degraded right now: providers that do not answer, a stale replica, a refused configuration.
    pub(crate) degradation: Degradation,
}

impl Telemetry {
    /// Answers one request.
    pub(crate) async fn handle(self, request: Request<Incoming>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "GET or HEAD\n");
        }
        match request.uri().path() {
            "/metrics" => self.metrics(),
            "/livez" => answer(StatusCode::OK, "text/plain; charset=utf-8", "alive\n"),
            "/readyz" => self.readyz(),
            _ => answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "/metrics, /livez, /readyz\n"),
        }
    }

    fn metrics(&self) -> Answer {
        let mut text = Vec::with_capacity(32 * 1024);
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
            Err(error) => {
                tracing::error!(error = %error, "metrics could not be written");
                answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", "metrics could not be written\n")
            }
        }
    }

    fn readyz(&self) -> Answer {
        let stage = self.readiness.stage();
        let degraded = (self.degradation)();
        let (status, word) = match stage {
            Stage::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            Stage::Ready => (StatusCode::OK, "ready"),
            Stage::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        };
        json_answer(status, &json!({ "stage": word, "degraded": degraded }))
    }
}
