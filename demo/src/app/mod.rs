//! A sample application: shows what an upstream behind Portcullis receives. It has no sign-in of its own.
//!
//! `/` is a page for people, `/json…` the same for programs, `/events` a stream that ticks every second.

mod assertion;
mod events;
mod page;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use portcullis_identity::{Clock, SystemClock};
use serde_json::{Value, json};

use self::assertion::{Judgement, Verifier};
use crate::site::{Answer, Server, Site, answer, json, page as html_page};

/// How an application reaches the key set that it checks assertions with.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The certificate authority, as PEM, of the proxy's certificate; `*.localhost` is taken for 127.0.0.1.
    Authority(String),
    /// The application does not check: it reports the claims as unverified.
    Nobody,
}

/// What an application is made of.
#[derive(Debug)]
pub struct AppParts {
    /// Its name, shown large.
    pub name: String,
    /// One sentence about who may see it.
    pub about: String,
    /// Where it listens; loopback.
    pub address: SocketAddr,
    /// The origin of the route in front of it, `https://hello.localhost:8443`: whose key set it believes. Never
    /// taken from a request.
    pub route: String,
    /// Origins of the other applications, for links.
    pub neighbours: Vec<String>,
    /// How it checks assertions.
    pub trust: Trust,
}

/// A running application; dropping it stops it.
#[derive(Debug)]
pub struct App {
    house: Arc<House>,
    server: Server,
}

impl App {
    /// Starts an application.
    pub async fn start(parts: AppParts) -> io::Result<Self> {
        let AppParts { name, about, address, route, neighbours, trust } = parts;
        let verifier = Verifier::new(&route, &trust).map_err(io::Error::other)?;
        let house = Arc::new(House {
            name,
            about,
            route,
            neighbours,
            verifier,
            requests: AtomicU64::new(0),
            streams: Arc::new(AtomicUsize::new(0)),
        });
        let server = Server::bind(address).await?.serve(Arc::clone(&house));
        Ok(Self { house, server })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// How many requests have reached it: what an edge refuses is not among them.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.house.requests.load(Ordering::SeqCst)
    }

    /// How many event streams are open right now.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.house.streams.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct House {
    name: String,
    about: String,
    route: String,
    neighbours: Vec<String>,
    verifier: Verifier,
    requests: AtomicU64,
    streams: Arc<AtomicUsize>,
}

/// What arrived.
#[derive(Debug)]
struct Received {
    method: String,
    target: String,
    /// Every field line in order, names in lower case, as hyper reports them.
    headers: Vec<(String, String)>,
    judgement: Judgement,
}

impl Received {
    /// The identity headers, as the proxy sets them in either namespace.
    fn identity(&self) -> impl Iterator<Item = (&str, &str)> {
        let ours = |name: &str| name.starts_with("x-portcullis-") || name.starts_with("x-pomerium-");
        let pairs = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(move |(name, _)| ours(name))
    }

    fn to_json(&self, app: &str) -> Value {
        let headers: Vec<Value> = self.headers.iter().map(|(name, value)| json!([name, value])).collect();
        let identity: serde_json::Map<String, Value> =
            self.identity().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        json!({
            "app": app, "method": self.method, "target": self.target, "headers": headers,
            "identity": identity, "assertion": self.judgement.to_json(),
        })
    }
}

impl Site for House {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        self.requests.fetch_add(1, Ordering::SeqCst);
        match request.uri().path() {
            "/events" => events::stream(&self.name, Arc::clone(&self.streams)),
            "/style.css" => answer(StatusCode::OK, "text/css; charset=utf-8", include_str!("../../assets/app.css")),
            "/app.js" => answer(StatusCode::OK, "text/javascript; charset=utf-8", include_str!("../../assets/app.js")),
            "/favicon.ico" => answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", ""),
            path if path.starts_with("/json") => {
                let received = self.receive(request).await;
                json(StatusCode::OK, &received.to_json(&self.name))
            }
            _ if matches!(*request.method(), Method::GET | Method::HEAD) => {
                let received = self.receive(request).await;
                html_page(StatusCode::OK, page::render(&self, &received))
            }
            _ => answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "GET\n"),
        }
    }
}

impl House {
    async fn receive(&self, request: Request<Incoming>) -> Received {
        let headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let assertion = headers.iter().find(|(name, _)| name.ends_with("-jwt-assertion")).map(|(_, value)| value);
        let judgement = match assertion {
            Some(text) => self.verifier.judge(text, SystemClock.now()).await,
            None => Judgement::Absent,
        };
        let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        Received { method: request.method().to_string(), target, headers, judgement }
    }
}

#[cfg(test)]
mod tests;
