//! Every key of oauth2-proxy's own file, once, with what becomes of it.

use std::fs;

use super::plan::Plan;
use super::traffic::{skip_auth, upstreams};
use crate::migrate::scope::Shape::{Address, Duration};
use crate::migrate::scope::Treatment::{Converts, Elsewhere, Lost, Moves, Needless, Protects};
use crate::migrate::scope::{Key, Scope, Treatment};
use crate::migrate::tree::{Member, Tree};
use crate::migrate::values;

pub(super) type File<'a> = Scope<'a, Plan>;

const fn key(name: &'static str, treatment: Treatment<Plan>) -> Key<Plan> {
    Key { name, treatment }
}

const DISCOVERY: &str = "discovery below the issuer says it";
const STRICT: &str = "Portcullis always checks this";
const LOGS: &str = "an access event always has the same fields";
const PAGES: &str = "pages have one look";
const OWN_PATHS: &str = "our own paths are below /.portcullis/";
const STORE: &str = "sessions are kept by the embedded store of the broker; live sessions end once";
const COOKIES: &str = "our cookies are always Secure, HttpOnly and of one host";
const MACHINES: &str = "such callers stay out";
const GROUPS: &str = "these members cannot be asked for, so nobody passes";
const GROUPS_CLAIM: &str = "policy with `groups` or `claim/NAME`, from a claim of the provider";

/// The settings of the file.
pub(crate) const CLASSIC: &[Key<Plan>] = &[
    key("provider", Elsewhere),
    key("oidc_issuer_url", Converts(issuer)),
    key("azure_tenant", Elsewhere),
    key("client_id", Converts(client_id)),
    key("client_secret", Converts(client_secret)),
    key("client_secret_file", Converts(client_secret_file)),
    key("scope", Converts(scopes)),
    key("provider_display_name", Converts(label)),
    key("oidc_groups_claim", Converts(groups_claim)),
    key("oidc_email_claim", Converts(email_claim)),
    key("user_id_claim", Converts(email_claim)),
    key("insecure_oidc_allow_unverified_email", Converts(unverified_email)),
    key("prompt", Converts(parameter)),
    key("approval_prompt", Converts(parameter)),
    key("acr_values", Converts(parameter)),
    key("resource", Converts(parameter)),
    key("provider_ca_files", Converts(provider_ca)),
    key("code_challenge_method", Needless("every sign-in uses PKCE with S256")),
    key("login_url", Lost(DISCOVERY, "providers.NAME.issuer")),
    key("redeem_url", Lost(DISCOVERY, "providers.NAME.issuer")),
    key("profile_url", Lost(DISCOVERY, "providers.NAME.issuer")),
    key("validate_url", Lost(DISCOVERY, "providers.NAME.issuer")),
    key("oidc_jwks_url", Lost(DISCOVERY, "providers.NAME.issuer")),
    key("skip_oidc_discovery", Lost(DISCOVERY, "providers.NAME.issuer")),
    key("insecure_oidc_skip_issuer_verification", Lost(STRICT, "")),
    key("insecure_oidc_skip_nonce", Lost(STRICT, "")),
    key("skip_claims_from_profile_url", Lost("userinfo is asked where the ID token says too little", "")),
    key("oidc_audience_claims", Lost(STRICT, "")),
    key("oidc_extra_audiences", Lost("tokens of other clients are not taken", "")),
    key("backend_logout_url", Lost("the provider's own end-session endpoint is used", "")),
    key("email_domains", Converts(email_domains)),
    key("authenticated_emails_file", Converts(emails_file)),
    key("allowed_groups", Converts(allowed_groups)),
    key("allowed_roles", Converts(restriction)),
    key("google_group", Converts(restriction)),
    key("google_groups", Converts(restriction)),
    key("google_admin_email", Lost("no directory is asked", GROUPS_CLAIM)),
    key("google_service_account_json", Lost("no directory is asked", GROUPS_CLAIM)),
    key("google_use_*", Lost("no directory is asked", GROUPS_CLAIM)),
    key("gitlab_group", Converts(restriction)),
    key("gitlab_projects", Converts(restriction)),
    key("github_org", Converts(restriction)),
    key("github_team", Converts(restriction)),
    key("github_repo", Converts(restriction)),
    key("github_users", Converts(restriction)),
    key("github_token", Lost("GitHub is not asked", "")),
    key("bitbucket_team", Converts(restriction)),
    key("bitbucket_repository", Converts(restriction)),
    key("keycloak_group", Converts(restriction)),
    key("keycloak_groups", Converts(restriction)),
    key("entra_id_allowed_tenants", Converts(restriction)),
    key("entra_id_federated_token_auth", Lost("a client authenticates with its secret", "")),
    key("htpasswd_file", Lost("there are no local users; they stay out", "accounts at the provider")),
    key("htpasswd_user_groups", Lost("there are no local users; they stay out", "accounts at the provider")),
    key("display_htpasswd_form", Lost("there are no local users; they stay out", "accounts at the provider")),
    key("upstreams", Converts(upstreams)),
    key("skip_auth_routes", Converts(skip_auth)),
    key("skip_auth_regex", Converts(skip_auth)),
    key("skip_auth_preflight", Converts(preflight)),
    key("skip_auth_strip_headers", Needless("identity headers of clients are always removed")),
    key("trusted_ips", Lost("nobody passes by address alone; such callers sign in", "policy with `source_ip`")),
    key("skip_jwt_bearer_tokens", Lost(MACHINES, "")),
    key("extra_jwt_issuers", Lost(MACHINES, "")),
    key("api_routes", Needless("who cannot follow a redirect gets 401 by what the request accepts")),
    key("skip_provider_button", Needless("with one provider nobody is asked which")),
    key("pass_host_header", Elsewhere),
    key("proxy_websockets", Elsewhere),
    key("ssl_upstream_insecure_skip_verify", Elsewhere),
    key("upstream_timeout", Elsewhere),
    key("ssl_insecure_skip_verify", Lost(STRICT, "providers.NAME.ca")),
    key("flush_interval", Needless("bodies are passed on as they come")),
    key("disable_keep_alives", Lost("connections to upstreams are kept", "")),
    key("pass_user_headers", Elsewhere),
    key("prefer_email_to_user", Elsewhere),
    key("pass_basic_auth", Converts(basic_auth)),
    key("basic_auth_password", Lost("no user is passed as HTTP Basic", "assertion.claim_headers")),
    key("pass_access_token", Converts(access_token)),
    key("pass_authorization_header", Converts(id_token)),
    key(
        "set_xauthrequest",
        Lost("Portcullis is the proxy itself, not one that another asks", "assertion.claim_headers"),
    ),
    key("set_authorization_header", Lost("Portcullis is the proxy itself, not one that another asks", "")),
    key("set_basic_auth", Lost("Portcullis is the proxy itself, not one that another asks", "")),
    key(
        "signature_key",
        Lost(
            "requests are not signed so; the upstream refuses by itself",
            "the signed assertion, X-Portcullis-Jwt-Assertion",
        ),
    ),
    key("redirect_url", Converts(redirect_url)),
    key("relative_redirect_url", Needless("the sign-in has a host of its own")),
    key("whitelist_domains", Needless("where a sign-in returns to is sealed, so every route's host is and no other")),
    key("cookie_name", Lost("our cookies have the `__Host-` prefix", "cookie.name")),
    key("cookie_secret", Needless("Portcullis makes a key ring of its own at first start; live sessions end once")),
    key(
        "cookie_secret_file",
        Needless("Portcullis makes a key ring of its own at first start; live sessions end once"),
    ),
    key("cookie_domains", Lost(COOKIES, "one session serves every host all the same")),
    key("cookie_path", Converts(cookie_path)),
    key("cookie_expire", Converts(cookie_expire)),
    key("cookie_refresh", Lost("tokens are refreshed when they are about to expire", "")),
    key("cookie_secure", Needless(COOKIES)),
    key("cookie_httponly", Needless(COOKIES)),
    key("cookie_samesite", Converts(same_site)),
    key("cookie_csrf_*", Needless("a sign-in is bound to its browser by one cookie for all tabs")),
    key("session_store_type", Needless(STORE)),
    key("session_cookie_minimal", Needless(STORE)),
    key("redis_*", Needless(STORE)),
    key("http_address", Elsewhere),
    key("https_address", Moves("listen.public", Address)),
    key("force_https", Elsewhere),
    key("tls_cert_file", Elsewhere),
    key("tls_key_file", Elsewhere),
    key("tls_min_version", Needless("TLS 1.2 and 1.3 are spoken")),
    key("tls_cipher_suites", Lost("the cipher suites are those of rustls", "")),
    key("reverse_proxy", Converts(reverse_proxy)),
    key("real_client_ip_header", Lost("X-Forwarded-For of trusted proxies is believed", "limits.trusted_proxies")),
    key("trusted_proxy_ips", Converts(trusted_proxies)),
    key("metrics_address", Moves("listen.telemetry", Address)),
    key("metrics_secure_address", Lost("metrics are served without TLS", "listen.telemetry on loopback")),
    key("metrics_tls_*", Lost("metrics are served without TLS", "listen.telemetry on loopback")),
    key("ping_path", Lost(OWN_PATHS, "listen.telemetry")),
    key("ping_user_agent", Lost(OWN_PATHS, "listen.telemetry")),
    key("ready_path", Lost(OWN_PATHS, "listen.telemetry")),
    key("proxy_prefix", Lost(OWN_PATHS, "")),
    key("gcp_healthchecks", Lost(OWN_PATHS, "listen.telemetry")),
    key("request_logging*", Lost(LOGS, "telemetry.log")),
    key("standard_logging*", Lost(LOGS, "telemetry.log")),
    key("auth_logging*", Lost(LOGS, "telemetry.log")),
    key("logging_*", Lost(LOGS, "telemetry.log")),
    key("exclude_logging_path*", Lost(LOGS, "telemetry.log")),
    key("silence_ping_logging", Lost(LOGS, "telemetry.log")),
    key("errors_to_info_log", Lost(LOGS, "telemetry.log")),
    key("request_id_header", Lost("the request id is X-Request-Id", "")),
    key("show_debug_on_error", Lost(PAGES, "routes[].show_error_details")),
    key("custom_templates_dir", Lost(PAGES, "")),
    key("custom_sign_in_logo", Lost(PAGES, "")),
    key("banner", Lost(PAGES, "")),
    key("footer", Lost(PAGES, "")),
    key("force_json_errors", Lost("errors are what the request accepts", "")),
    key("encode_state", Needless("the state of a sign-in is always sealed")),
    key("allow_query_semicolons", Needless("a query is passed on as it is")),
    key("jwt_key", Lost("a client authenticates with its secret", "")),
    key("jwt_key_file", Lost("a client authenticates with its secret", "")),
    key("pubjwk_url", Lost("a client authenticates with its secret", "")),
    key("session_lifetime", Moves("session.lifetime", Duration)),
    key("client_ca_file", Protects("client certificates are not asked for", "a TLS terminator in front")),
];

fn issuer(scope: &mut File<'_>, member: &Member) {
    scope.around.provider.issuer = Some(member.value.clone());
}

fn client_id(scope: &mut File<'_>, member: &Member) {
    scope.around.provider.client_id = Some(member.value.clone());
}

fn client_secret(scope: &mut File<'_>, member: &Member) {
    let text = member.value.scalar().filter(|text| !text.is_empty());
    let Some(text) = text else { return };
    let reference = scope.journal.secrets.file("idp", "the client secret (client_secret)", &text);
    scope.around.provider.client_secret = Some(reference.with_remarks_of(&member.value));
}

fn client_secret_file(scope: &mut File<'_>, member: &Member) {
    if let Some(path) = member.value.scalar().filter(|path| !path.is_empty()) {
        scope.around.provider.client_secret = Some(Tree::file(path).with_remarks_of(&member.value));
    }
}

fn scopes(scope: &mut File<'_>, member: &Member) {
    let scopes: Vec<String> = member.value.scalar().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if !scopes.is_empty() {
        scope.around.provider.scopes = Some(Tree::texts(scopes).with_remarks_of(&member.value));
    }
}

fn label(scope: &mut File<'_>, member: &Member) {
    scope.around.provider.label = Some(member.value.clone());
}

fn groups_claim(scope: &mut File<'_>, member: &Member) {
    scope.around.provider.groups_claim = Some(member.value.clone());
}

fn email_claim(scope: &mut File<'_>, member: &Member) {
    scope.around.provider.email_claim = Some(member.value.clone());
}

fn unverified_email(scope: &mut File<'_>, member: &Member) {
    scope.around.provider.takes_unverified_email = member.value.as_boolean() == Some(true);
}

fn parameter(scope: &mut File<'_>, member: &Member) {
    if let Some(text) = member.value.scalar().filter(|text| !text.is_empty()) {
        scope.around.provider.parameters.push((member.key.to_ascii_lowercase(), text));
    }
}

fn provider_ca(scope: &mut File<'_>, member: &Member) {
    scope.around.provider.ca = member.value.strings();
}

pub(super) fn email_domains(scope: &mut File<'_>, member: &Member) {
    for domain in member.value.strings() {
        let domain = domain.to_ascii_lowercase();
        let access = &mut scope.around.access;
        match domain.strip_prefix('*').unwrap_or(&domain) {
            "" => access.anybody = true,
            sub if sub.starts_with('.') => access.subdomains.push(sub.to_owned()),
            _ => access.domains.push(domain),
        }
    }
    scope.around.access.remarks = Some(member.value.clone());
}

/// The addresses stand in a file of their own; they are few and no secret.
fn emails_file(scope: &mut File<'_>, member: &Member) {
    let path = member.value.scalar().unwrap_or_default();
    match fs::read_to_string(&path) {
        Ok(text) => {
            let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned());
            scope.around.access.emails.extend(lines.filter(|line| line.contains('@')));
            scope.note(
                member,
                "the addresses of that file stand in the policy now; changes to the file are not followed",
            );
        }
        Err(error) => {
            let why = format!("cannot be read ({error}), so these people stay out");
            scope.protects(member, &why, "policy with `email: {in: […]}`");
        }
    }
}

fn allowed_groups(scope: &mut File<'_>, member: &Member) {
    scope.around.access.groups.extend(member.value.strings());
}

/// Whoever is kept out by it must stay out: without it nobody passes.
pub(super) fn restriction(scope: &mut File<'_>, member: &Member) {
    if !member.value.is_off() {
        scope.around.access.closed = true;
        scope.protects(member, GROUPS, GROUPS_CLAIM);
    }
}

fn preflight(scope: &mut File<'_>, member: &Member) {
    scope.around.cors_preflight = member.value.as_boolean() == Some(true);
}

fn basic_auth(scope: &mut File<'_>, member: &Member) {
    if member.value.as_boolean() == Some(true) && scope.given("basic_auth_password").is_some() {
        scope.lost(member, "no user is passed as HTTP Basic", "assertion.claim_headers");
    }
}

fn access_token(scope: &mut File<'_>, member: &Member) {
    if member.value.as_boolean() == Some(true) {
        let header = ("X-Forwarded-Access-Token".to_owned(), "${portcullis.access_token}".to_owned());
        scope.around.request_headers.push(header);
    }
}

fn id_token(scope: &mut File<'_>, member: &Member) {
    if member.value.as_boolean() == Some(true) {
        let header = ("Authorization".to_owned(), "Bearer ${portcullis.id_token}".to_owned());
        scope.around.request_headers.push(header);
    }
}

fn redirect_url(scope: &mut File<'_>, member: &Member) {
    let url = member.value.scalar().and_then(|text| values::web_address(&text));
    match url {
        Some(url) => {
            let port = url.port.filter(|port| *port != 443).map(|port| format!(":{port}")).unwrap_or_default();
            scope.around.host = Some(format!("{}{port}", url.host));
            scope.note(member, "the callback is another: register the one of the sign-in host at the provider");
        }
        None => scope.lost(member, "names no host; which one the routes serve must be said", "routes[].from"),
    }
}

/// A cookie of one path was not sent to the others.
fn cookie_path(scope: &mut File<'_>, member: &Member) {
    if member.value.scalar().is_some_and(|path| !matches!(path.as_str(), "" | "/")) {
        scope.protects(member, "our cookies are for the whole host", "a host of its own");
    }
}

fn cookie_expire(scope: &mut File<'_>, member: &Member) {
    match values::duration(&member.value) {
        Some(period) if period != "0" => {
            scope.out.set("session.lifetime", Tree::text(period).with_remarks_of(&member.value));
        }
        _ => scope.lost(member, "a session always ends; 14h it is", "session.lifetime"),
    }
}

fn same_site(scope: &mut File<'_>, member: &Member) {
    let text = member.value.scalar().unwrap_or_default().to_ascii_lowercase();
    if matches!(text.as_str(), "lax" | "strict" | "none") {
        scope.out.set("cookie.same_site", Tree::text(text).with_remarks_of(&member.value));
    }
}

/// Nothing is believed without the networks of the proxies.
fn reverse_proxy(scope: &mut File<'_>, member: &Member) {
    if member.value.as_boolean() == Some(true) && scope.given("trusted_proxy_ips").is_none() {
        scope.lost(member, "proxies in front are believed by their address", "limits.trusted_proxies");
    }
}

fn trusted_proxies(scope: &mut File<'_>, member: &Member) {
    let everybody = |text: &String| text.ends_with("/0");
    let (all, some): (Vec<String>, Vec<String>) = member.value.strings().into_iter().partition(everybody);
    if !all.is_empty() {
        scope.lost(member, "everybody is not believed", "limits.trusted_proxies");
    }
    if !some.is_empty() {
        scope.out.set("limits.trusted_proxies", Tree::texts(some).with_remarks_of(&member.value));
    }
}
