//! An answer as the tour's visitor sees it.

use http::{HeaderMap, StatusCode};
use url::Url;

/// A whole answer, and the way to it.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it came from, after all redirects.
    pub url: Url,
    /// Its status.
    pub status: StatusCode,
    /// Its header.
    pub headers: HeaderMap,
    /// Its body as text.
    pub text: String,
    /// Every address on the way, the first asked for first, this one last.
    pub way: Vec<Url>,
}

impl Page {
    /// A header's value; empty if it is not there or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the way led over this host.
    #[must_use]
    pub fn came_over(&self, host: &str) -> bool {
        self.way.iter().any(|url| url.host_str() == Some(host))
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}
