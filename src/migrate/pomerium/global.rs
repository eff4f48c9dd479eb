//! Settings of the top level that need more than a move.

use portcullis_keys::{AssertionKeys, KeyRing, SystemRandom};

use super::around::Whole;
use super::route;
use crate::migrate::scope::Scope;
use crate::migrate::tree::{Member, Remarks, Tree, Value};
use crate::migrate::values;

type Global<'a> = Scope<'a, Whole>;

/// The values of `runtime_flags` that the reference has without them.
const USUAL_FLAGS: [(&str, bool); 17] = [
    ("add_extra_metrics_labels", true),
    ("allow_any_sign_out_redirect_uri", false),
    ("authorize_use_synced_data", true),
    ("config_hot_reload", true),
    ("debug_admin_endpoints", false),
    ("envoy_resource_manager", true),
    ("grpc_databroker_keepalive", true),
    ("match_any_incoming_port", true),
    ("mcp", true),
    ("mcp_dynamic_client_registration", false),
    ("pomerium_jwt_endpoint", false),
    ("refresh_session_at_id_token_expiration", true),
    ("routes_portal", true),
    ("set_envoy_concurrency_to_go_max_procs", true),
    ("ssh_allow_direct_tcpip", false),
    ("ssh_routes_portal", false),
    ("ssh_upstream_tunnel", false),
];

pub(crate) fn address(scope: &mut Global<'_>, member: &Member) {
    let text = member.value.scalar().unwrap_or_default();
    match values::address(&text) {
        Some(address) => scope.out.set("listen.public", Tree::text(address).with_remarks_of(&member.value)),
        // Every address is wider than the one that was meant.
        None => {
            scope.protects(member, "is no IP address with a port; without it every address is served", "listen.public")
        }
    }
}

/// The roles of this process.
pub(crate) fn services(scope: &mut Global<'_>, member: &Member) {
    let mut ours = Vec::new();
    for name in member.value.strings() {
        match name.as_str() {
            "all" => ours.push("all"),
            "proxy" => ours.push("proxy"),
            "authenticate" => ours.push("authn"),
            "databroker" | "data-broker" | "cache" => ours.push("broker"),
            "authorize" => scope.note(member, "every proxy decides by itself; there is no `authorize` service"),
            other => scope.lost(member, &format!("unknown service `{other}`"), "services: proxy, authn, broker"),
        }
    }
    let value = match ours.as_slice() {
        ["all"] => return,
        [] => return scope.lost(member, "no service is left for this process to run", "services: proxy"),
        [one] => Tree::text(*one),
        several => Tree::texts(several.iter().copied()),
    };
    scope.out.set("services", value.with_remarks_of(&member.value));
}

pub(crate) fn shared_secret(scope: &mut Global<'_>, member: &Member) {
    if !scope.around.split {
        let why = "Portcullis makes a key ring of its own at first start; live sessions end once";
        return scope.note(member, why);
    }
    if scope.out.at("secret").is_some() {
        return;
    }
    let (_, ring) = KeyRing::generate(&SystemRandom);
    let holds = "a new key ring, the same on every host (`portcullis keys new` makes another)";
    let reference = scope.journal.secrets.file("portcullis.ring", holds, &ring);
    scope.out.set("secret", reference.with_remarks_of(&member.value));
    scope.note(member, "a new key ring takes its place; live sessions end once");
}

/// A domain that some host is not in would make browsers drop the cookie.
pub(crate) fn cookie_domain(scope: &mut Global<'_>, member: &Member) {
    let text = member.value.scalar().unwrap_or_default();
    let domain = text.trim_start_matches('.').to_ascii_lowercase();
    if domain.is_empty() {
        return;
    }
    let outside = scope.around.hosts.iter().find(|host| !values::is_below(host, &domain)).cloned();
    match outside {
        _ if !domain.contains('.') => {
            scope.lost(member, "browsers refuse a domain of one label", "cookies of one host each")
        }
        Some(host) => {
            let why = format!("`{host}` is not in it; every host gets a cookie of its own instead");
            scope.lost(member, &why, "cookie.domain, if every host is in it");
        }
        None => scope.out.set("cookie.domain", Tree::text(domain).with_remarks_of(&member.value)),
    }
}

pub(crate) fn cookie_expire(scope: &mut Global<'_>, member: &Member) {
    match values::duration(&member.value) {
        Some(period) if period != "0" => {
            scope.out.set("session.lifetime", Tree::text(period).with_remarks_of(&member.value));
        }
        _ => scope.lost(member, "a session always ends; 14h it is", "session.lifetime"),
    }
}

pub(crate) fn cookie_always(scope: &mut Global<'_>, member: &Member) {
    if member.value.as_boolean() == Some(false) {
        scope.lost(member, "our cookies are always Secure and HttpOnly", "");
    }
}

pub(crate) fn cookie_same_site(scope: &mut Global<'_>, member: &Member) {
    let text = member.value.scalar().unwrap_or_default().to_ascii_lowercase();
    match text.as_str() {
        "lax" | "strict" | "none" => {
            scope.out.set("cookie.same_site", Tree::text(text).with_remarks_of(&member.value));
        }
        "" | "unset" | "default" => {}
        _ => scope.lost(member, "is not a value of SameSite; `lax` it is", "cookie.same_site"),
    }
}

/// Where other services are; only if they are elsewhere.
pub(crate) fn sibling(scope: &mut Global<'_>, member: &Member) {
    if !scope.around.split {
        return scope.note(member, "every service runs in this process");
    }
    let path =
        if member.key.to_ascii_lowercase().starts_with("databroker") { "siblings.broker" } else { "siblings.authn" };
    let urls = member.value.strings();
    let url = urls.first().and_then(|url| values::web_address(url));
    match url {
        Some(url) if url.scheme == "https" && matches!(url.path.as_str(), "" | "/") => {
            let port = url.port.map(|port| format!(":{port}")).unwrap_or_default();
            let text = format!("https://{}{port}", url.host);
            scope.out.set(path, Tree::text(text).with_remarks_of(&member.value));
            if urls.len() > 1 {
                scope.lost(member, "one broker keeps the sessions; the first is taken", "siblings.broker");
            }
        }
        _ => scope.lost(member, "services on several hosts speak TLS", &format!("{path}: https://HOST:PORT")),
    }
}

pub(crate) fn callback_path(scope: &mut Global<'_>, member: &Member) {
    if member.value.scalar().is_some_and(|path| path != "/oauth2/callback") {
        let why = "the callback is /oauth2/callback: register it at the provider";
        scope.lost(member, why, "");
    }
}

/// Not access to us: what other issuers' tokens would open stays shut.
pub(crate) fn bearer_token_format<A>(scope: &mut Scope<'_, A>, member: &Member) {
    if member.value.scalar().is_some_and(|format| !matches!(format.as_str(), "" | "default")) {
        scope.lost(
            member,
            "tokens of the provider are not taken as a sign-in; such callers stay out",
            "the programmatic sign-in",
        );
    }
}

/// Keys of the assertion: P-256 only, several in one text.
pub(crate) fn signing_key(scope: &mut Global<'_>, member: &Member) {
    let text = member.value.scalar().unwrap_or_default();
    if text.is_empty() || scope.out.at("assertion.signing_keys").is_some() {
        return;
    }
    let keys = match values::pem(&text) {
        Some(pem) => {
            let keys = values::private_keys(&pem);
            let refs: Vec<&str> = keys.iter().map(String::as_str).collect();
            if AssertionKeys::from_pem(&refs).is_err() {
                let why =
                    "holds a key that is not ECDSA P-256; assertions are signed with a new key, published as before";
                return scope.lost(member, why, "assertion.signing_keys");
            }
            let mut file = |key: &String| {
                scope.journal.secrets.file("assertion.pem", "the key of the assertion (signing_key)", key)
            };
            keys.iter().map(&mut file).collect()
        }
        None if member.key.to_ascii_lowercase().ends_with("_file") => vec![Tree::file(text)],
        None => {
            return scope.lost(
                member,
                "holds no PEM key; assertions are signed with a new key",
                "assertion.signing_keys",
            );
        }
    };
    scope.out.set("assertion.signing_keys", Tree::list(keys).with_remarks_of(&member.value));
}

/// Claims, or headers with their claims; what clients or connections need cannot carry a claim.
pub(crate) fn claim_headers(scope: &mut Global<'_>, member: &Member) {
    let headers = match &member.value.value {
        Value::List(_) => Tree { remarks: Remarks::default(), ..member.value.clone() },
        Value::Map(members) => {
            let mut kept: Tree = Value::Map(Vec::new()).into();
            for header in members {
                match header.value.scalar() {
                    Some(claim) if route::carries_claims(&header.key) => {
                        kept.set_key(&header.key, Tree::text(claim).with_remarks_of(&header.value));
                    }
                    _ => scope.lost(
                        header,
                        "this header cannot carry a claim",
                        "assertion.claim_headers with another name",
                    ),
                }
            }
            kept
        }
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Text(_) => Tree::texts(member.value.strings()),
    };
    scope.out.set("assertion.claim_headers", headers.with_remarks_of(&member.value));
}

pub(crate) fn issuer_format(scope: &mut Global<'_>, member: &Member) {
    match member.value.scalar().unwrap_or_default().to_ascii_lowercase().as_str() {
        "uri" => scope.out.set("assertion.issuer_format", Tree::text("uri").with_remarks_of(&member.value)),
        "" | "hostonly" => {}
        _ => scope.lost(member, "is not a form of the issuer; the host alone it is", "assertion.issuer_format"),
    }
}

/// `localhost` stands for loopback in both, and a list replaces the default.
pub(crate) fn programmatic_hosts(scope: &mut Global<'_>, member: &Member) {
    let hosts = member.value.strings();
    let (fit, odd): (Vec<String>, Vec<String>) = hosts.into_iter().partition(|host| !host.contains(['*', ':', '/']));
    for host in odd {
        scope.lost(member, &format!("`{host}` is not the name of one host"), "sign_in.programmatic_hosts");
    }
    if !fit.is_empty() {
        scope.out.set("sign_in.programmatic_hosts", Tree::texts(fit).with_remarks_of(&member.value));
    }
}

pub(crate) fn codec_type(scope: &mut Global<'_>, member: &Member) {
    if member.value.scalar().is_some_and(|codec| !matches!(codec.to_ascii_lowercase().as_str(), "" | "auto")) {
        scope.lost(member, "HTTP/1.1 and HTTP/2 are both spoken, HTTP/3 is not", "");
    }
}

/// Whose word on client addresses is believed. It protects where a policy looks at them.
pub(crate) fn client_addresses(scope: &mut Global<'_>, member: &Member) {
    if member.value.is_off() {
        return;
    }
    let nearest = "limits.trusted_proxies with the networks of the proxies in front";
    if scope.around.looks_at_addresses {
        let why = "a policy looks at `source_ip`, which would be the address of the proxy in front";
        scope.protects(member, why, nearest);
    } else {
        scope.lost(member, "proxies in front are believed by their address", nearest);
    }
}

pub(crate) fn canonical_paths(scope: &mut Global<'_>, member: &Member) {
    if member.value.as_boolean() == Some(false) {
        scope.lost(member, "paths always have one form; what is ambiguous is refused", "");
    }
}

pub(crate) fn escaped_slashes(scope: &mut Global<'_>, member: &Member) {
    match member.value.scalar().unwrap_or_default().to_ascii_lowercase().as_str() {
        // The routes keep them: `Around::keeps_encoded_slashes`.
        "" | "reject_request" | "keep_unchanged" => {}
        _ => scope.lost(member, "`%2F` is refused", "routes[].encoded_slashes: keep"),
    }
}

pub(crate) fn log_level(scope: &mut Global<'_>, member: &Member) {
    let level = match member.value.scalar().unwrap_or_default().to_ascii_lowercase().as_str() {
        "trace" => "trace",
        "debug" => "debug",
        "" | "info" => return,
        "warn" | "warning" => "warn",
        "error" | "fatal" | "panic" => "error",
        "disabled" | "off" => "off",
        _ => return scope.lost(member, "is not a level; `info` it is", "telemetry.log"),
    };
    scope.out.set("telemetry.log", Tree::text(level).with_remarks_of(&member.value));
}

/// Without password and TLS, metrics leave this machine only if they did so before.
pub(crate) fn metrics_address(scope: &mut Global<'_>, member: &Member) {
    let text = member.value.scalar().unwrap_or_default();
    if text.is_empty() {
        return;
    }
    let Some(address) = values::address(&text) else {
        return scope.lost(member, "is no IP address with a port; loopback it is", "listen.telemetry");
    };
    let guards = [
        "metrics_basic_auth",
        "metrics_certificate",
        "metrics_certificate_file",
        "metrics_client_ca",
        "metrics_client_ca_file",
    ];
    let guarded = guards.iter().any(|key| scope.given(key).is_some());
    let address = match values::on_loopback(&address) {
        Some(loopback) if guarded && !values::is_loopback(&address) => {
            scope.lost(member, "metrics were guarded and now stay on loopback", "listen.telemetry");
            loopback
        }
        _ => address,
    };
    scope.out.set("listen.telemetry", Tree::text(address).with_remarks_of(&member.value));
}

/// The broker's port for other hosts.
pub(crate) fn grpc_address(scope: &mut Global<'_>, member: &Member) {
    let broker =
        scope.given("services").is_some_and(|services| services.strings().iter().any(|name| name.contains("broker")));
    if !scope.around.split || !broker {
        return scope.note(member, "no other host talks to this process");
    }
    match member.value.scalar().and_then(|text| values::address(&text)) {
        Some(address) => scope.out.set("listen.internal.broker", Tree::text(address).with_remarks_of(&member.value)),
        None => scope.lost(member, "is no IP address with a port", "listen.internal.broker"),
    }
}

pub(crate) fn storage_type(scope: &mut Global<'_>, member: &Member) {
    if member.value.scalar().is_some_and(|kind| kind == "postgres") {
        scope.lost(
            member,
            "sessions are kept by the embedded store of the broker; live sessions end once",
            "storage.engine",
        );
    }
}

pub(crate) fn runtime_flags(scope: &mut Global<'_>, member: &Member) {
    let before = std::mem::replace(&mut scope.prefix, "runtime_flags.".to_owned());
    for flag in member.value.members() {
        let usual = USUAL_FLAGS.iter().find(|(name, _)| *name == flag.key.to_ascii_lowercase());
        if usual.is_none_or(|(_, usual)| flag.value.as_boolean() != Some(*usual)) {
            scope.lost(flag, "Portcullis has no such switch", "");
        }
    }
    scope.prefix = before;
}
