//! Settings of a route that need more than a move.

use std::sync::Arc;

use portcullis_config::HEADERS_OF_CLIENTS;
use portcullis_policy::nearest;

use super::around::Around;
use crate::migrate::scope::Scope;
use crate::migrate::tree::{Member, Tree, Value};
use crate::migrate::values;

type Route<'s> = Scope<'s, Arc<Around>>;

/// Tokens that a request header's value may hold, behind `pomerium.`.
const TOKENS: [&str; 6] =
    ["access_token", "id_token", "jwt", "client_cert_fingerprint", "client_cert_san_dns", "client_cert_san_email"];

/// Headers that belong to the connection, and `Host`: never edited as headers.
const NOT_EDITABLE: [&str; 10] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "host",
];

/// Upstreams of the schemes we speak, each once.
pub(crate) fn to(scope: &mut Route<'_>, member: &Member) {
    let mut upstreams: Vec<(String, u64, &Tree)> = Vec::new();
    let mut first_path: Option<String> = None;
    for entry in member.value.items() {
        let text = entry.scalar().or_else(|| entry.get("url").and_then(Tree::scalar)).unwrap_or_default();
        let (url, weight) = weighted(&text, entry.get("weight"));
        let Some((scheme, rest)) = url.split_once("://") else {
            scope.lost(member, "an upstream that is no URL", "to: http://HOST:PORT");
            continue;
        };
        if !matches!(scheme, "http" | "https" | "h2c") {
            scope.lost(member, &format!("`{scheme}` upstreams are not spoken to"), "http, https and h2c, on loopback");
            continue;
        }
        if weight == 0 {
            scope.note(member, "an upstream of weight 0 gets nothing and is left away");
            continue;
        }
        let (authority, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        // The reference looks at the path of the first upstream alone.
        let first = first_path.get_or_insert_with(|| path.to_owned()).clone();
        if first != path {
            scope.note(member, "the path of the first upstream is that of all");
        }
        let url = format!("{scheme}://{authority}{first}");
        match upstreams.iter_mut().find(|(known, _, _)| *known == url) {
            Some((_, known, _)) => *known = known.saturating_add(weight),
            None => upstreams.push((url, weight, entry)),
        }
    }
    // Only the proportions matter to us, within our bound.
    let largest = upstreams.iter().map(|(_, weight, _)| *weight).max().unwrap_or(1);
    let scale = largest.div_ceil(65_535).max(1);
    let text = |(url, weight, entry): (String, u64, &Tree)| {
        let weight = weight.div_ceil(scale);
        let text = if weight == 1 { url } else { format!("{url},{weight}") };
        if std::ptr::eq(entry, &raw const member.value) {
            Tree::text(text)
        } else {
            Tree::text(text).with_remarks_of(entry)
        }
    };
    let mut upstreams: Vec<Tree> = upstreams.into_iter().map(text).collect();
    match upstreams.len() {
        0 => {}
        1 => scope.out.set("to", upstreams.remove(0).with_remarks_of(&member.value)),
        _ => scope
            .out
            .set("to", Tree { flow: member.value.flow, ..Tree::list(upstreams) }.with_remarks_of(&member.value)),
    }
}

fn weighted(text: &str, beside: Option<&Tree>) -> (String, u64) {
    let weight = |text: &str| text.trim().parse::<u64>().ok();
    match text.rsplit_once(',').and_then(|(url, behind)| Some((url, weight(behind)?))) {
        Some((url, weight)) => (url.to_owned(), weight),
        None => (text.to_owned(), beside.and_then(Tree::scalar).and_then(|text| weight(&text)).unwrap_or(1)),
    }
}

pub(crate) fn upgrades(scope: &mut Route<'_>, member: &Member) {
    for name in member.value.strings() {
        if name.eq_ignore_ascii_case("websocket") {
            scope.out.set("allow_websockets", Tree::boolean(true).with_remarks_of(&member.value));
        } else {
            scope.lost(
                member,
                &format!("`{name}` does not pass; WebSocket is the only upgrade that does"),
                "allow_websockets",
            );
        }
    }
}

/// Certificates are no secrets: PEM stays in the file.
pub(crate) fn public_pem(scope: &mut Route<'_>, member: &Member) {
    let text = member.value.scalar().unwrap_or_default();
    let name = member.key.to_ascii_lowercase();
    match values::pem(&text) {
        Some(pem) => scope.out.set(&name, Tree::text(pem).with_remarks_of(&member.value)),
        None if text.is_empty() => {}
        // As a restriction on the upstream it must not vanish: a file that is not there refuses the whole configuration.
        None => scope.out.set(&format!("{name}_file"), Tree::text(text).with_remarks_of(&member.value)),
    }
}

pub(crate) fn client_key(scope: &mut Route<'_>, member: &Member) {
    let text = member.value.scalar().unwrap_or_default();
    match values::pem(&text) {
        Some(pem) => {
            let reference = scope.journal.secrets.file(
                "upstream-client.key",
                "the key of a client certificate for upstreams",
                &pem,
            );
            scope.out.set("tls_client_key", reference.with_remarks_of(&member.value));
        }
        None if text.is_empty() => {}
        None => scope.out.set("tls_client_key_file", Tree::text(text).with_remarks_of(&member.value)),
    }
}

/// Headers with tokens; those that tell who asks are ours alone.
pub(crate) fn set_request_headers(scope: &mut Route<'_>, member: &Member) {
    let mut headers: Tree = Value::Map(Vec::new()).into();
    let before = scope.prefix.clone();
    scope.prefix.push_str("set_request_headers.");
    for header in member.value.members() {
        let Some(value) = header.value.scalar() else {
            scope.lost(header, "is no text", "");
            continue;
        };
        if is_ours(scope, &header.key) {
            scope.lost(
                header,
                "tells the upstream who asks and is set by Portcullis alone",
                "pass_identity_headers, assertion.claim_headers",
            );
        } else if !is_editable(&header.key) {
            scope.lost(header, "belongs to the connection and cannot be edited", "host_rewrite, preserve_host_header");
        } else if let Some(token) = unknown_token(&value) {
            let meant = nearest(&token, TOKENS)
                .map(|meant| format!("did you mean `${{pomerium.{meant}}}`?"))
                .unwrap_or_default();
            scope.lost(header, "holds a token that nothing replaces, so the header is not set", &meant);
        } else {
            if looks_secret(&header.key) && !value.contains("${") {
                scope.note(header, "this value stands in the configuration itself: keep that file 0600");
            }
            headers.set_key(&header.key, Tree::text(value).with_remarks_of(&header.value));
        }
    }
    scope.prefix = before;
    if !headers.members().is_empty() {
        scope.out.set("set_request_headers", headers.with_remarks_of(&member.value));
    }
}

pub(crate) fn remove_request_headers(scope: &mut Route<'_>, member: &Member) {
    let mut kept = Vec::new();
    for name in member.value.strings() {
        if is_ours(scope, &name) {
            scope.note(member, &format!("`{name}` is always removed from what clients send"));
        } else if is_editable(&name) {
            kept.push(name);
        } else {
            scope.lost(member, &format!("`{name}` belongs to the connection and cannot be edited"), "");
        }
    }
    if !kept.is_empty() {
        scope.out.set("remove_request_headers", Tree::texts(kept).with_remarks_of(&member.value));
    }
}

pub(crate) fn load_balancing(scope: &mut Route<'_>, member: &Member) {
    let usual =
        member.value.scalar().is_some_and(|policy| matches!(policy.to_ascii_lowercase().as_str(), "" | "round_robin"));
    if !usual {
        scope.lost(member, "upstreams take turns by weight", "to: URL,WEIGHT");
    }
}

fn is_ours(scope: &Route<'_>, name: &str) -> bool {
    let plain = name.to_ascii_lowercase().replace(['_', '.'], "-");
    plain.starts_with("x-pomerium-") || scope.around.claim_headers.contains(&plain)
}

fn is_editable(name: &str) -> bool {
    !NOT_EDITABLE.contains(&name.to_ascii_lowercase().as_str()) && http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

/// Whether a header may tell an upstream a claim: none that requests need for something else.
pub(crate) fn carries_claims(name: &str) -> bool {
    let plain = name.to_ascii_lowercase().replace(['_', '.'], "-");
    is_editable(name) && !HEADERS_OF_CLIENTS.contains(&plain.as_str())
}

fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "token", "secret", "api-key", "apikey", "password", "cookie"]
        .iter()
        .any(|word| name.contains(word))
}

/// The first `${…}` that neither of us replaces.
fn unknown_token(value: &str) -> Option<String> {
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once("${") {
        // `$$` is a dollar.
        let dollars = before.len().saturating_sub(before.trim_end_matches('$').len());
        let (token, tail) = behind.split_once('}').unwrap_or((behind, ""));
        rest = tail;
        if dollars % 2 == 1 {
            continue;
        }
        let name = token.strip_prefix("pomerium.").unwrap_or_default();
        let quoted = name.starts_with("request.headers[\"") || name.starts_with("request.headers['");
        let known = TOKENS.contains(&name) || (quoted && name.ends_with(']'));
        if !known {
            return Some(name.to_owned());
        }
    }
    None
}

/// Where the reference takes the strongest of several keys, ours wants one.
pub(crate) fn settle(scope: &mut Route<'_>) {
    strongest(scope, &["regex", "path", "prefix"]);
    let path = scope.out.get("path").or_else(|| scope.out.get("regex")).and_then(Tree::as_text).unwrap_or_default();
    if path.is_empty() && scope.out.get("prefix").and_then(Tree::as_text) == Some("") {
        scope.out.remove("prefix");
    }
    strongest(scope, &["host_rewrite", "host_rewrite_header", "preserve_host_header"]);
    if scope.out.get("tls_downstream_client_ca").is_some() {
        drop_key(scope, "tls_downstream_client_ca_file", "has no effect beside `tls_downstream_client_ca`");
    }
    if scope.out.get("to").is_none() {
        return without_upstream(scope);
    }
    rewrites(scope);
    if scope.out.get("tls_skip_verify").and_then(Tree::as_boolean) == Some(true) {
        for key in ["tls_custom_ca", "tls_custom_ca_file"] {
            drop_key(scope, key, "has no effect beside `tls_skip_verify`");
        }
    }
    for (inline, file) in [
        ("tls_custom_ca", "tls_custom_ca_file"),
        ("tls_client_cert", "tls_client_cert_file"),
        ("tls_client_key", "tls_client_key_file"),
    ] {
        if scope.out.get(inline).is_some() {
            drop_key(scope, file, &format!("has no effect beside `{inline}`"));
        }
    }
    let has = |keys: [&str; 2]| keys.iter().any(|key| scope.out.get(key).is_some());
    let (cert, key) =
        (has(["tls_client_cert", "tls_client_cert_file"]), has(["tls_client_key", "tls_client_key_file"]));
    if cert != key {
        for key in ["tls_client_cert", "tls_client_cert_file", "tls_client_key", "tls_client_key_file"] {
            drop_key(scope, key, "a client certificate needs its key, and a key its certificate");
        }
    }
}

/// An explicit rewrite is stronger than the path in `to`, the prefix stronger than the expression.
fn rewrites(scope: &mut Route<'_>) {
    if scope.out.get("prefix_rewrite").is_some() {
        for key in ["regex_rewrite_pattern", "regex_rewrite_substitution"] {
            drop_key(scope, key, "has no effect beside `prefix_rewrite`");
        }
    }
    let explicit = ["prefix_rewrite", "regex_rewrite_pattern"].iter().any(|key| scope.out.get(key).is_some());
    if let Some(to) = scope.out.get("to").filter(|_| explicit).cloned() {
        let bare = |tree: &Tree| {
            let text = tree.scalar().unwrap_or_default();
            let (url, weight) = weighted(&text, None);
            let end = url
                .find("://")
                .and_then(|at| Some(at.saturating_add(3).saturating_add(url.get(at.saturating_add(3)..)?.find('/')?)));
            let url = end.and_then(|end| url.get(..end)).unwrap_or(&url);
            let text = if weight == 1 { url.to_owned() } else { format!("{url},{weight}") };
            Tree { value: Value::Text(text), ..tree.clone() }
        };
        let to = match to.as_list() {
            Some(items) => Tree { value: Value::List(items.iter().map(bare).collect()), ..to.clone() },
            None => bare(&to),
        };
        scope.out.set("to", to);
    }
    // With an expression the reference replaces the whole path.
    if scope.out.get("regex").is_some()
        && let Some(to) = scope.out.remove("prefix_rewrite")
    {
        scope.out.set("regex_rewrite_pattern", Tree::text("^.*$"));
        let text = to.scalar().unwrap_or_default().replace('\\', "\\\\").replace('$', "$$");
        scope.out.set("regex_rewrite_substitution", Tree::text(text).with_remarks_of(&to));
    }
}

/// Keys of forwarding mean nothing on a redirect or a fixed answer.
fn without_upstream(scope: &mut Route<'_>) {
    let keys: Vec<String> = scope.out.members().iter().map(|member| member.key.clone()).collect();
    let forwarding = |key: &str| {
        key.starts_with("tls_")
            || [
                "prefix_rewrite",
                "regex_rewrite_pattern",
                "regex_rewrite_substitution",
                "host_rewrite",
                "host_rewrite_header",
                "preserve_host_header",
                "health_checks",
            ]
            .contains(&key)
    };
    for key in keys.iter().filter(|key| forwarding(key)) {
        drop_key(scope, key, "has no effect without `to`");
    }
}

/// Keeps the first of some keys that is there.
fn strongest(scope: &mut Route<'_>, keys: &[&str]) {
    let is_on = |key: &&&str| scope.out.get(key).is_some_and(|value| !value.is_off());
    let Some(kept) = keys.iter().find(is_on) else { return };
    for key in keys.iter().filter(|key| *key != kept) {
        drop_key(scope, key, &format!("has no effect beside `{kept}`"));
    }
}

fn drop_key(scope: &mut Route<'_>, key: &str, why: &str) {
    if scope.out.remove(key).is_none_or(|value| value.is_off()) {
        return;
    }
    if let Some(member) = scope.member(key) {
        scope.note(member, why);
    }
}
