//! From a Pomerium configuration to ours.

mod around;
mod certificates;
mod client_certificates;
mod global;
mod health;
pub(crate) mod keys;
mod policy;
mod provider;
mod response_headers;
mod route;

use std::sync::Arc;

use self::around::{Around, Whole};
use self::keys::{GLOBAL, ROUTE};
use super::findings::{Finding, Weight};
use super::reader::Document;
use super::scope::{Journal, Scope};
use super::tree::{Member, Tree, Value};
use super::values;

pub(crate) use self::policy::nobody;
pub(crate) use self::route::carries_claims;

/// The sections of ours, in the order a reader wants them.
const ORDER: [&str; 16] = [
    "namespace",
    "services",
    "secret",
    "siblings",
    "listen",
    "tls",
    "sign_in",
    "providers",
    "cookie",
    "session",
    "assertion",
    "upstreams",
    "limits",
    "telemetry",
    "storage",
    "routes",
];

/// Converts a whole file.
pub(crate) fn convert(document: &Document, journal: &mut Journal) -> Tree {
    let root = &document.root;
    let sign_in_host = provider::sign_in_host(root);
    let sources = sources(root, sign_in_host.as_deref(), journal);
    let mut hosts: Vec<String> = sources.iter().filter_map(|(_, route)| host(route)).collect();
    hosts.extend(sign_in_host.clone());
    let around = Whole {
        looks_at_addresses: sources.iter().any(|(_, route)| mentions(route, "source_ip")),
        hosts,
        split: root.get("services").is_some_and(|services| services.strings().iter().any(|name| name != "all")),
    };
    let mut scope = Scope::new(root, String::new(), around, journal);
    scope.out.set("namespace", Tree::text("pomerium"));
    scope.apply(GLOBAL);
    certificates::certificates(&mut scope);
    response_headers::response_headers(&mut scope);
    let restricted = sources.iter().any(|(_, route)| !is_public(route));
    let clients = provider::providers(&mut scope, &sources, restricted);
    let around = Arc::new(Around {
        claim_headers: claim_headers(&scope.out),
        keeps_encoded_slashes: root
            .get("path_with_escaped_slashes_action")
            .and_then(Tree::scalar)
            .is_some_and(|action| action.eq_ignore_ascii_case("keep_unchanged")),
        ..clients
    });
    let mut out = scope.out;
    let mut routes: Vec<Tree> =
        sources.into_iter().filter_map(|(prefix, source)| convert_route(source, prefix, &around, journal)).collect();
    names_once(&mut routes, journal);
    out.set("routes", Tree::list(routes));
    if let Value::Map(members) = &mut out.value {
        members.sort_by_key(|member| ORDER.iter().position(|name| *name == member.key).unwrap_or(ORDER.len()));
    }
    out
}

/// The routes that we can serve, in the reference's order, with what names them in messages.
fn sources<'a>(root: &'a Tree, sign_in_host: Option<&str>, journal: &mut Journal) -> Vec<(String, &'a Tree)> {
    let mut kept = Vec::new();
    for list in ["policy", "routes"] {
        let Some(value) = root.get(list) else { continue };
        let routes = value.as_list().unwrap_or_default();
        if value.as_list().is_none() && !value.is_off() {
            journal.findings.push(lost(value, list, "is no list of routes, so nobody gets to them", "routes"));
        }
        for (index, route) in routes.iter().enumerate() {
            let name = format!("{list}[{index}]");
            match unservable(route, sign_in_host) {
                // A route that is not there only denies: what it protected is out of reach with it. So the weight of
                // a dropped route is that of a lost function, whatever its policy said.
                Some((why, nearest)) => {
                    journal.findings.push(lost(route, &name, &format!("route dropped: {why}"), nearest))
                }
                None => kept.push((format!("{name}."), route)),
            }
        }
    }
    kept
}

fn lost(tree: &Tree, key: &str, reason: &str, nearest: &str) -> Finding {
    Finding {
        weight: Weight::Lost,
        place: tree.place.clone(),
        key: key.to_owned(),
        reason: reason.to_owned(),
        nearest: (!nearest.is_empty()).then(|| nearest.to_owned()),
    }
}

/// Why a route cannot be served at all.
fn unservable(route: &Tree, sign_in_host: Option<&str>) -> Option<(&'static str, &'static str)> {
    let from = route.get("from").and_then(Tree::scalar).unwrap_or_default();
    let scheme = from.split_once("://").map_or("", |(scheme, _)| scheme);
    if matches!(scheme, "tcp+https" | "udp+https" | "ssh") {
        return Some(("it carries TCP, UDP or SSH; ours carry HTTP, WebSocket and gRPC", ""));
    }
    if scheme != "https" {
        return Some(("its `from` is no https address", "from: https://HOST"));
    }
    let host = host(route).unwrap_or_default();
    if host.is_empty() || sign_in_host == Some(host.as_str()) {
        return Some(("its host is that of the sign-in, which serves nothing else", "a host of its own"));
    }
    if route.get("redirect").is_some_and(|value| !value.is_off())
        || route.get("response").is_some_and(|value| !value.is_off())
    {
        return None;
    }
    let to = route.get("to").map(|to| match to.as_list() {
        Some(items) => items.iter().filter_map(|item| item.scalar().or_else(|| item.get("url")?.scalar())).collect(),
        None => to.scalar().into_iter().collect::<Vec<String>>(),
    });
    let spoken = |url: &String| ["http://", "https://", "h2c://"].iter().any(|scheme| url.starts_with(scheme));
    match to {
        Some(urls) if urls.iter().any(spoken) => None,
        Some(_) => Some(("none of its upstreams speaks HTTP over TCP", "to: http://HOST:PORT")),
        None => Some(("it has neither `to` nor `redirect` nor `response`", "to: http://HOST:PORT")),
    }
}

fn convert_route(source: &Tree, prefix: String, around: &Arc<Around>, journal: &mut Journal) -> Option<Tree> {
    let mut scope = Scope::new(source, prefix, Arc::clone(around), journal);
    scope.apply(ROUTE);
    if scope.out.get("to").is_none() && scope.out.get("redirect").is_none() && scope.out.get("response").is_none() {
        return None;
    }
    route::settle(&mut scope);
    let client = scope.given("idp_client_id").and_then(Tree::scalar);
    let client = client.and_then(|id| around.clients.iter().find(|(known, _)| *known == id));
    if !is_public(source) {
        match client {
            Some((_, name)) => scope.out.set("providers", Tree::text(name.clone())),
            // A session of another route's client does not count here, as in the reference.
            None if !around.clients.is_empty() => scope.out.set("providers", Tree::text(around.main_provider.clone())),
            None => {}
        }
    }
    if around.keeps_encoded_slashes {
        scope.out.set("encoded_slashes", Tree::text("keep"));
    }
    Some(scope.out.with_remarks_of(source))
}

/// A name that is given twice gets a number.
fn names_once(routes: &mut [Tree], journal: &mut Journal) {
    let mut seen: Vec<String> = Vec::new();
    for route in routes {
        let Some(name) = route.get("name").and_then(Tree::scalar) else { continue };
        let mut fresh = name.clone();
        let mut number = 2_usize;
        while seen.contains(&fresh) {
            fresh = format!("{name}-{number}");
            number = number.saturating_add(1);
        }
        if fresh != name {
            let reason = format!("the name `{name}` is given twice; this one is `{fresh}` now");
            journal.findings.push(Finding {
                weight: Weight::Note,
                place: route.place.clone(),
                key: String::new(),
                reason,
                nearest: None,
            });
            let remarks = route.get("name").cloned();
            let renamed = Tree::text(fresh.clone());
            route.set("name", remarks.iter().fold(renamed, Tree::with_remarks_of));
        }
        seen.push(fresh);
    }
}

fn host(route: &Tree) -> Option<String> {
    values::from_host(&route.get("from")?.scalar()?).map(str::to_ascii_lowercase)
}

fn is_public(route: &Tree) -> bool {
    route.get("allow_public_unauthenticated_access").and_then(Tree::as_boolean) == Some(true)
}

fn mentions(tree: &Tree, key: &str) -> bool {
    match &tree.value {
        Value::Map(members) => {
            members.iter().any(|Member { key: name, value, .. }| name == key || mentions(value, key))
        }
        Value::List(items) => items.iter().any(|item| mentions(item, key)),
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Text(_) => false,
    }
}

/// The names of configured claim headers: clients and routes cannot set them.
fn claim_headers(out: &Tree) -> Vec<String> {
    let named = out.at("assertion.claim_headers").map(Tree::members).unwrap_or_default();
    named.iter().map(|member| member.key.to_ascii_lowercase()).collect()
}
