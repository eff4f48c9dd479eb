//! What the generator is told, as command-line arguments in both directions.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The kinds of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new TLS 1.3 connection with a full handshake for each request.
    Connections,
    /// A new TLS 1.3 connection with a resumed handshake for each request.
    Resumptions,
    /// WebSocket messages to and fro.
    Messages,
    /// gRPC calls with one message each way.
    Unary,
    /// Requests at a fixed rate, over kept-alive connections.
    Paced,
}

/// The names of the kinds.
const KINDS: [(Kind, &str); 5] = [
    (Kind::Connections, "connections"),
    (Kind::Resumptions, "resumptions"),
    (Kind::Messages, "messages"),
    (Kind::Unary, "unary"),
    (Kind::Paced, "paced"),
];

/// One run of the generator.
#[derive(Clone, Debug)]
pub struct Order {
    /// What to do.
    pub kind: Kind,
    /// Where.
    pub address: SocketAddr,
    /// The host that is asked for.
    pub host: String,
    /// PEM of the only root that is believed.
    pub roots: PathBuf,
    /// Further request headers.
    pub headers: Vec<(String, String)>,
    /// Connections at one time.
    pub connections: usize,
    /// Time before the window.
    pub warm_up: Duration,
    /// The window.
    pub span: Duration,
    /// Requests in a second, with [`Kind::Paced`].
    pub rate: u64,
}

impl Order {
    /// As arguments of `drive`.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let Self { kind, address, host, roots, headers, connections, warm_up, span, rate } = self;
        let name = KINDS.iter().find(|(known, _)| known == kind).map_or("", |(_, name)| name);
        let mut words = vec![name.to_owned()];
        words.extend([address.to_string(), host.clone(), roots.display().to_string(), connections.to_string()]);
        words.extend([warm_up.as_millis().to_string(), span.as_millis().to_string(), rate.to_string()]);
        words.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        words
    }

    /// Reads what [`Order::arguments`] wrote; `None` for anything else.
    #[must_use]
    pub fn read(words: &[String]) -> Option<Self> {
        let [name, address, host, roots, connections, warm_up, span, rate, headers @ ..] = words else { return None };
        let headers: Option<Vec<_>> = headers.iter().map(|line| line.split_once(": ")).collect();
        Some(Self {
            kind: KINDS.iter().find(|(_, known)| known == name).map(|(kind, _)| *kind)?,
            address: address.parse().ok()?,
            host: host.clone(),
            roots: PathBuf::from(roots),
            headers: headers?.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            connections: connections.parse().ok()?,
            warm_up: Duration::from_millis(warm_up.parse().ok()?),
            span: Duration::from_millis(span.parse().ok()?),
            rate: rate.parse().ok()?,
        })
    }

    /// Host and port, as the `Host` field and the URL have them.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.address.port())
    }

    /// The head of an HTTP/1.1 GET of `/page`.
    #[must_use]
    pub fn head(&self, connection: &str) -> String {
        let mut head = format!("GET /page HTTP/1.1\r\nHost: {}\r\nConnection: {connection}\r\n", self.authority());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Kind, Order};

    #[test]
    fn an_order_survives_the_command_line() {
        let order = Order {
            kind: Kind::Unary,
            address: "127.0.0.1:8443".parse().unwrap(),
            host: "a.localhost".to_owned(),
            roots: "/tmp/a b".into(),
            headers: vec![("cookie".to_owned(), "a=b; c=d: e".to_owned())],
            connections: 3,
            warm_up: Duration::from_millis(100),
            span: Duration::from_millis(400),
            rate: 0,
        };
        let words = order.arguments();
        let read = Order::read(&words).unwrap();
        assert_eq!(read.arguments(), words);
        assert_eq!((read.kind, read.headers), (Kind::Unary, order.headers));
        assert!(Order::read(&words[..4]).is_none());
    }
}
