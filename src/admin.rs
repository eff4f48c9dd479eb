//! The admin socket: what a running process says of itself and takes from its operator. JSON over HTTP/1.1 on a Unix
//! socket that only the process's user may open.

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use portcullis_broker_api::{EndReason, EndSelector};
use portcullis_identity::Principal;
use serde_json::{Value, from_value, json};
use tokio::sync::{mpsc, oneshot};

use crate::decisions::Wanted;
use crate::house::House;
use crate::http_server::{Answer, json as json_answer};
use crate::records;
use crate::reload::Generations;

/// The most an operator's request may carry; a push of records has bounds of its own.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// A reload that somebody waits for.
pub(crate) type ReloadOrder = oneshot::Sender<Result<String, String>>;

/// What the admin socket reaches.
#[derive(Clone)]
pub(crate) struct Admin {
    /// The services.
    pub(crate) house: Arc<House>,
    /// The state of the configuration.
    pub(crate) generations: Arc<arc_swap::ArcSwap<Generations>>,
    /// Where reloads are ordered.
    pub(crate) reload: mpsc::Sender<ReloadOrder>,
}

impl Admin {
    /// Answers one request.
    pub(crate) async fn handle(self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        match (&head.method, path.as_str()) {
            (&Method::GET, "/status") => json_answer(StatusCode::OK, &self.status()),
            (&Method::GET, "/sessions") => match self.house.sessions() {
                Some(sessions) => json_answer(StatusCode::OK, &sessions),
                None => elsewhere("broker"),
            },
            (&Method::POST, "/reload") => self.reload().await,
            (&Method::POST, "/sessions/end") => match read(body).await {
                Ok(selector) => self.end_sessions(&selector).await,
                Err(message) => refusal(StatusCode::BAD_REQUEST, &message),
            },
            (&Method::POST, "/records") => match self.house.operator() {
                Some(operator) => about_records(records::admin::push(operator, body).await),
                None => elsewhere("broker"),
            },
            (&Method::POST, "/records/list" | "/records/delete") => self.records(&path, body).await,
            (&Method::POST, "/decisions/list") => self.decisions(body).await,
            (&Method::GET, path) => match path.strip_prefix("/decisions/") {
                Some(request_id) => self.explain(request_id),
                None => refusal(StatusCode::NOT_FOUND, "no such resource"),
            },
            _ => refusal(StatusCode::NOT_FOUND, "no such resource"),
        }
    }

    fn status(&self) -> Value {
        let generations = self.generations.load();
        let mut status = self.house.status();
        if let Value::Object(fields) = &mut status {
            fields.insert(
                "configuration".into(),
                json!({
                    "generation": generations.current.to_string(),
                    "since": generations.since.unix_seconds(),
                    "last_error": generations.last_error,
                    "restart_for": generations.restart_for,
                }),
            );
        }
        status
    }

    async fn reload(&self) -> Answer {
        let (done, outcome) = oneshot::channel();
        let ordered = self.reload.send(done).await;
        let outcome = match ordered {
            Ok(()) => outcome.await.unwrap_or_else(|_gone| Err("the process is stopping".into())),
            Err(_closed) => Err("the process is stopping".into()),
        };
        match outcome {
            Ok(generation) => json_answer(StatusCode::OK, &json!({ "generation": generation })),
            Err(message) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &message),
        }
    }

    async fn end_sessions(&self, selector: &Value) -> Answer {
        let field = |name: &str| selector.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let selector = match (field("session"), field("user"), field("issuer")) {
            (Some(shown), None, None) => match self.house.shown_session(shown) {
                Some(key) => EndSelector::Key(key),
                None => return refusal(StatusCode::NOT_FOUND, "no live session is listed so in this process"),
            },
            (Some(_), ..) => {
                return refusal(StatusCode::BAD_REQUEST, "wanted: {\"user\": …} or {\"session\": …}, not both");
            }
            (None, Some(user), None) => EndSelector::User(user.into()),
            (None, Some(user), Some(issuer)) => {
                EndSelector::Principal(Principal { issuer: issuer.into(), subject: user.into() })
            }
            (None, None, _) => {
                return refusal(
                    StatusCode::BAD_REQUEST,
                    "wanted: {\"user\": …}, and \"issuer\" perhaps, or {\"session\": …}",
                );
            }
        };
        match self.house.end_sessions(selector, EndReason::Revoked).await {
            Ok(count) => json_answer(StatusCode::OK, &json!({ "ended": count })),
            Err(message) => refusal(StatusCode::SERVICE_UNAVAILABLE, &message),
        }
    }

    async fn records(&self, path: &str, body: Incoming) -> Answer {
        let Some(operator) = self.house.operator() else { return elsewhere("broker") };
        let order = match read(body).await {
            Ok(order) => order,
            Err(message) => return refusal(StatusCode::BAD_REQUEST, &message),
        };
        about_records(match path {
            "/records/list" => records::admin::list(operator, order).await,
            _ => records::admin::delete(operator, order).await,
        })
    }

    async fn decisions(&self, body: Incoming) -> Answer {
        let wanted: Wanted =
            match read(body).await.and_then(|wanted| from_value(wanted).map_err(|error| error.to_string())) {
                Ok(wanted) => wanted,
                Err(message) => return refusal(StatusCode::BAD_REQUEST, &message),
            };
        // Each is explained anew, which is no work for a thread that serves.
        let house = Arc::clone(&self.house);
        match tokio::task::spawn_blocking(move || house.decisions(&wanted)).await {
            Ok(Some(decisions)) => json_answer(StatusCode::OK, &decisions),
            Ok(None) => elsewhere("proxy"),
            Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    fn explain(&self, request_id: &str) -> Answer {
        match self.house.decision(request_id) {
            Some(record) => json_answer(StatusCode::OK, &record),
            None => {
                refusal(StatusCode::NOT_FOUND, "no decision record has this request id; the ring may have moved on")
            }
        }
    }
}

fn about_records(outcome: Result<Value, records::admin::Refused>) -> Answer {
    match outcome {
        Ok(answer) => json_answer(StatusCode::OK, &answer),
        Err((status, message)) => refusal(status, &message),
    }
}

fn elsewhere(service: &str) -> Answer {
    refusal(StatusCode::NOT_FOUND, &format!("this process does not run the {service}; ask the one that does"))
}

fn refusal(status: StatusCode, message: &str) -> Answer {
    json_answer(status, &json!({ "error": message }))
}

async fn read(body: Incoming) -> Result<Value, String> {
    let bytes = Limited::new(body, MAX_REQUEST_BYTES).collect().await.map_err(|error| error.to_string())?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}
