//! Envoy with one worker: plain, with its own filters, and with checks beside it. Written as JSON, which it reads too.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::apache::Registration;
use super::nginx::{Doors, Sidecar};
use super::system::{CHECKED_HOST, EMAIL, Ground, Running, start};

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.http";
/// The path of the OAuth2 filter's callback.
pub const CALLBACK: &str = "/callback";

/// What an Envoy does before it forwards.
#[derive(Clone, Copy, Debug)]
pub enum Check<'a> {
    /// Nothing.
    Nothing,
    /// Verifies a bearer token of this issuer, and keeps those it has verified.
    Jwt(&'a str),
    /// Asks the responder at this address.
    Responder(SocketAddr),
    /// Asks a session-checking sidecar.
    Sidecar(Sidecar),
    /// Signs people in, verifies the ID token of the session's cookie, and compares the e-mail address.
    Own(Registration<'a>),
}

/// Starts an Envoy.
///
/// # Errors
/// As [`start`].
pub fn envoy(ground: &Ground, name: &str, cpu: usize, doors: Doors, check: Check<'_>) -> io::Result<Running> {
    let folder = ground.folder_of(name)?;
    let text = json!({
        "static_resources": {
            "listeners": [
                listener(ground, "tls", doors.tls, check, true),
                listener(ground, "plain", doors.plain, check, false),
            ],
            "clusters": clusters(ground, check)?,
            "secrets": secrets(check),
        },
    });
    let file = folder.join("envoy.json");
    fs::write(&file, serde_json::to_string_pretty(&text)?)?;
    let path = file.display().to_string();
    let arguments = ["-c", &path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"].map(str::to_owned);
    start(cpu, &PathBuf::from("envoy"), &arguments, doors.tls)
}

fn listener(ground: &Ground, name: &str, address: SocketAddr, check: Check<'_>, tls: bool) -> Value {
    let mut chain = json!({ "filters": [{
        "name": "http",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": name,
            "codec_type": "AUTO",
            "upgrade_configs": [{ "upgrade_type": "websocket" }],
            "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes(check) }] },
            "http_filters": filters(check),
        },
    }]});
    if tls && let Some(chain) = chain.as_object_mut() {
        let Ground { certificate, key, .. } = ground;
        chain.insert(
            "transport_socket".to_owned(),
            json!({
                "name": "tls",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                    "common_tls_context": {
                        "alpn_protocols": ["h2", "http/1.1"],
                        "tls_params": { "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3" },
                        "tls_certificates": [{
                            "certificate_chain": { "filename": certificate }, "private_key": { "filename": key },
                        }],
                    },
                },
            }),
        );
    }
    json!({ "name": name, "address": socket(address), "filter_chains": [chain] })
}

fn routes(check: Check<'_>) -> Value {
    let to = |prefix: &str, cluster: &str| json!({ "match": { "prefix": prefix }, "route": { "cluster": cluster, "timeout": "0s" } });
    let mut routes = vec![to("/bench.", "unary"), to("/socket", "socket"), to("/", "origin")];
    if let Check::Sidecar(sidecar) = check {
        let unchecked = json!({ "@type": format!("{FILTERS}.ext_authz.v3.ExtAuthzPerRoute"), "disabled": true });
        let mut own = to(sidecar.own, "beside");
        if let Some(own) = own.as_object_mut() {
            own.insert("typed_per_filter_config".to_owned(), json!({ "ext_authz": unchecked }));
        }
        routes.insert(0, own);
    }
    Value::from(routes)
}

fn filters(check: Check<'_>) -> Value {
    let filter = |name: &str, config: Value| json!({ "name": name, "typed_config": config });
    let mut chain = match check {
        Check::Nothing => Vec::new(),
        Check::Jwt(issuer) => vec![filter(
            "jwt_authn",
            jwt(issuer, &json!([{ "name": "authorization", "value_prefix": "Bearer " }]), &json!([])),
        )],
        Check::Responder(address) => vec![filter("ext_authz", ext_authz(address, "", ""))],
        Check::Sidecar(sidecar) => vec![filter("ext_authz", ext_authz(sidecar.address, sidecar.check, sidecar.email))],
        Check::Own(who) => vec![
            filter("oauth2", oauth2(who)),
            filter("jwt_authn", jwt(who.issuer, &json!([]), &json!(["IdToken"]))),
            filter("rbac", rbac()),
        ],
    };
    chain.push(filter("router", json!({ "@type": format!("{FILTERS}.router.v3.Router") })));
    Value::from(chain)
}

fn jwt(issuer: &str, headers: &Value, cookies: &Value) -> Value {
    json!({
        "@type": format!("{FILTERS}.jwt_authn.v3.JwtAuthentication"),
        "providers": { "demo": {
            "issuer": issuer,
            "from_headers": headers,
            "from_cookies": cookies,
            "remote_jwks": {
                "http_uri": { "uri": format!("{issuer}/jwks"), "cluster": "provider", "timeout": "5s" },
                "cache_duration": { "seconds": 600 },
            },
            "jwt_cache_config": { "jwt_cache_size": 1000 },
            "payload_in_metadata": "claims",
            "claim_to_headers": [{ "header_name": "x-email", "claim_name": "email" }],
        }},
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "demo" } }],
    })
}

fn ext_authz(address: SocketAddr, path: &str, email: &str) -> Value {
    let mut service = json!({
        "server_uri": { "uri": format!("http://{address}"), "cluster": "beside", "timeout": "5s" },
        "path_prefix": path,
    });
    if !email.is_empty()
        && let Some(service) = service.as_object_mut()
    {
        let patterns = json!([{ "exact": email.replace('_', "-") }]);
        let passed = json!({ "allowed_upstream_headers": { "patterns": patterns } });
        service.insert("authorization_response".to_owned(), passed);
    }
    json!({
        "@type": format!("{FILTERS}.ext_authz.v3.ExtAuthz"),
        "http_service": service,
        "allowed_headers": { "patterns": [{ "exact": "cookie" }] },
    })
}

fn oauth2(who: Registration<'_>) -> Value {
    let Registration { issuer, client, .. } = who;
    json!({
        "@type": format!("{FILTERS}.oauth2.v3.OAuth2"),
        "config": {
            "token_endpoint": { "cluster": "provider", "uri": format!("{issuer}/token"), "timeout": "5s" },
            "authorization_endpoint": format!("{issuer}/authorize"),
            "redirect_uri": format!("https://%REQ(:authority)%{CALLBACK}"),
            "redirect_path_matcher": { "path": { "exact": CALLBACK } },
            "signout_path": { "path": { "exact": "/sign-out" } },
            "credentials": {
                "client_id": client,
                "token_secret": { "name": "token" },
                "hmac_secret": { "name": "hmac" },
            },
            "auth_scopes": ["openid", "profile", "email"],
            "forward_bearer_token": true,
        },
    })
}

fn rbac() -> Value {
    let email = json!({
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{ "key": "claims" }, { "key": "email" }],
        "value": { "string_match": { "exact": EMAIL } },
    });
    json!({
        "@type": format!("{FILTERS}.rbac.v3.RBAC"),
        "rules": { "action": "ALLOW", "policies": { "email": {
            "permissions": [{ "any": true }],
            "principals": [{ "sourced_metadata": { "metadata_matcher": email } }],
        }}},
    })
}

fn secrets(check: Check<'_>) -> Value {
    let Check::Own(who) = check else { return json!([]) };
    let secret =
        |name: &str, text: &str| json!({ "name": name, "generic_secret": { "secret": { "inline_string": text } } });
    json!([secret("token", who.secret), secret("hmac", "of-the-yardstick, thirty-two bytes")])
}

fn clusters(ground: &Ground, check: Check<'_>) -> io::Result<Value> {
    let mut clusters = vec![
        cluster("origin", ground.origin, "http_protocol_options"),
        cluster("socket", ground.socket, "http_protocol_options"),
        cluster("unary", ground.unary, "http2_protocol_options"),
    ];
    match check {
        Check::Nothing => {}
        Check::Jwt(issuer) => clusters.push(cluster("provider", address_of(issuer)?, "http_protocol_options")),
        Check::Own(who) => clusters.push(cluster("provider", address_of(who.issuer)?, "http_protocol_options")),
        Check::Responder(address) => clusters.push(cluster("beside", address, "http_protocol_options")),
        Check::Sidecar(sidecar) => clusters.push(cluster("beside", sidecar.address, "http_protocol_options")),
    }
    Ok(Value::from(clusters))
}

fn cluster(name: &str, address: SocketAddr, protocol: &str) -> Value {
    let endpoint = json!({ "endpoint": { "address": socket(address) } });
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
        "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": { protocol: {} },
        }},
    })
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

fn address_of(issuer: &str) -> io::Result<SocketAddr> {
    let authority = issuer.trim_start_matches("http://").trim_end_matches('/');
    authority.parse().map_err(|error| io::Error::other(format!("{issuer} at {CHECKED_HOST}: {error}")))
}
