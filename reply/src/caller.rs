//! Who gets the answer, and in which form.

use portcullis_config::Namespace;
use portcullis_gate::Audience;

/// What an answer needs to know of the request it answers.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The kind of caller.
    pub audience: Audience,
    /// `Accept`, if it was given once and is text.
    pub accept: Option<&'a str>,
    /// `User-Agent`, if it is text. Nothing is permitted by it; it only chooses a form.
    pub user_agent: Option<&'a str>,
    /// The canonical host that was asked; empty if it is not known.
    pub host: &'a str,
    /// The id by which logs and `portcullis explain` know this request.
    pub request_id: &'a str,
    /// Whose names paths and headers carry.
    pub namespace: Namespace,
}

/// The forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A page, for a person.
    Html,
    /// `application/problem+json`.
    Problem,
    /// The `Status` object that Kubernetes clients show.
    Kubernetes,
    /// A trailers-only gRPC answer.
    Grpc,
}

impl Caller<'_> {
    pub(crate) fn format(&self) -> Format {
        match self.audience {
            Audience::Grpc => Format::Grpc,
            Audience::Navigation => Format::Html,
            // A form that was sent from a page whose session is over: a person looks at the answer.
            Audience::Unsafe if self.accepts("text/html") => Format::Html,
            Audience::Unsafe | Audience::Script | Audience::WebSocket | Audience::Preflight => {
                if self.is_kubernetes_client() { Format::Kubernetes } else { Format::Problem }
            }
        }
    }

    /// The path of a page of ours on this host.
    pub(crate) fn own_path(&self, page: &str) -> String {
        format!("{}{page}", self.namespace.path_prefix())
    }

    fn accepts(&self, kind: &str) -> bool {
        self.accept.is_some_and(|accept| accept.to_ascii_lowercase().contains(kind))
    }

    /// `kubectl/v1.31.0 (linux/amd64) kubernetes/9edcffc`: as in the reference.
    fn is_kubernetes_client(&self) -> bool {
        self.user_agent.is_some_and(|agent| agent.contains("kubernetes/"))
    }
}
