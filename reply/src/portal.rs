//! The routes a person may reach: a page, and the same as JSON.

use bytes::Bytes;
use http::{Response, StatusCode};
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
}

/// Lists what the caller may reach, in the order of the configuration.
#[must_use]
pub fn routes(caller: &Caller<'_>, entries: &[RouteEntry<'_>]) -> Response<Bytes> {
    match caller.format() {
        Format::Html => response::html(caller, StatusCode::OK, Policy::Plain, RoutesPage::new(caller, entries).text()),
        Format::Problem | Format::Kubernetes | Format::Grpc => {
            let entry = |RouteEntry { name, url }: &RouteEntry<'_>| json!({"name": name, "from": url});
            let list: Vec<_> = entries.iter().map(entry).collect();
            response::typed(caller, StatusCode::OK, "application/json", json!({"routes": list}).to_string())
        }
    }
}
