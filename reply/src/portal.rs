//! The routes a person may reach: a page, and the same as JSON.

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_gate::PortalEntry;
use serde_json::json;

use crate::caller::Format;
use crate::look::Policy;
use crate::page::RoutesPage;
use crate::{Caller, response};

/// One site of the portal.
#[derive(Clone, Copy, Debug)]
pub struct RouteEntry<'a> {
    /// The route's name.
    pub name: &'a str,
    /// Where it is: `https://host/path`.
    pub url: &'a str,
    /// What the configuration says of it.
    pub description: Option<&'a str>,
}

impl<'a> From<&'a PortalEntry> for RouteEntry<'a> {
    fn from(PortalEntry { route, url }: &'a PortalEntry) -> Self {
        Self { name: &route.name, url, description: route.description.as_deref() }
    }
}

/// Lists what the caller may reach, in the order of the configuration.
#[must_use]
pub fn routes(caller: &Caller<'_>, entries: &[RouteEntry<'_>]) -> Response<Bytes> {
    match caller.format() {
        Format::Html => response::html(caller, StatusCode::OK, Policy::Plain, RoutesPage::new(caller, entries).text()),
        Format::Problem | Format::Kubernetes | Format::Grpc => {
            let entry = |RouteEntry { name, url, description }: &RouteEntry<'_>| json!({"name": name, "from": url, "description": description});
            let list: Vec<_> = entries.iter().map(entry).collect();
            response::typed(caller, StatusCode::OK, "application/json", json!({"routes": list}).to_string())
        }
    }
}
