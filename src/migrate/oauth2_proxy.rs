//! From an oauth2-proxy configuration to ours: its own file, its alpha configuration, or both.

mod alpha;
mod cfg;
mod classic;
mod plan;
mod traffic;

use self::plan::{Plan, Provider, Target, Upstream, UpstreamPath};
use super::findings::{Finding, Weight};
use super::reader::Document;
use super::scope::{Journal, Scope};
use super::tree::{Member, Tree, Value};
use super::values;

pub(crate) use self::alpha::ALPHA;
#[cfg(test)]
pub(crate) use self::alpha::PROVIDER;
pub(crate) use self::cfg::{cfg, looks_like_cfg};
pub(crate) use self::classic::CLASSIC;

/// The host that stands in until somebody names the real one.
const NO_HOST: &str = "app.invalid";

/// The provider that stands in: nobody can sign in there.
const NOWHERE: &str = "https://idp.invalid";

/// The sections of ours, in the order a reader wants them.
const ORDER: [&str; 9] =
    ["listen", "tls", "sign_in", "providers", "cookie", "session", "assertion", "upstreams", "routes"];

/// Headers that oauth2-proxy sets unless told otherwise, with the claims in them.
const USER_HEADERS: [(&str, &str); 4] = [
    ("X-Forwarded-User", "sub"),
    ("X-Forwarded-Email", "email"),
    ("X-Forwarded-Groups", "groups"),
    ("X-Forwarded-Preferred-Username", "preferred_username"),
];

/// Converts the files of one oauth2-proxy.
pub(crate) fn convert(classic: Option<&Document>, alpha: Option<&Document>, journal: &mut Journal) -> Tree {
    let mut out: Tree = Value::Map(Vec::new()).into();
    let mut plan = Plan::default();
    for (document, table) in [(classic, CLASSIC), (alpha, ALPHA)] {
        let Some(Document { root, .. }) = document else { continue };
        let mut scope = Scope { source: root, prefix: String::new(), out, around: plan, journal };
        scope.apply(table);
        if document.is_some_and(|one| classic.is_some_and(|other| std::ptr::eq(one, other))) {
            listener(&mut scope);
            // With the alpha configuration only what it injects is passed.
            if alpha.is_none() {
                user_headers(&mut scope);
            }
            kind(&mut scope);
        }
        (out, plan) = (scope.out, scope.around);
    }
    who_may(&mut plan, classic.or(alpha), journal);
    let host = host(&plan, journal);
    out.set(
        "sign_in.host",
        Tree::text(sign_in_host(&host)).remarked("migrate: a host for signing in, with DNS and certificate;"),
    );
    if let Some(sign_in) = out.at("sign_in.host").cloned() {
        out.set("sign_in.host", sign_in.remarked("register https://HOST/.portcullis/oidc/callback at the provider."));
    }
    provider(&mut out, &plan, journal);
    if let Some(headers) = plan::headers(&plan.claim_headers) {
        out.set("assertion.claim_headers", headers);
        out.set("upstreams.pass_identity_headers", Tree::boolean(true));
    }
    out.set("routes", Tree::list(routes(&plan, &host, journal)));
    if let Value::Map(members) = &mut out.value {
        members.sort_by_key(|member| ORDER.iter().position(|name| *name == member.key).unwrap_or(ORDER.len()));
    }
    out
}

/// The issuer of a tenant of Azure.
fn azure(tenant: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/v2.0")
}

fn listener(scope: &mut Scope<'_, Plan>) {
    if let (Some(cert), Some(key)) = (scope.given("tls_cert_file"), scope.given("tls_key_file")) {
        let pair = |cert: &Tree, key: &Tree| {
            let file = |tree: &Tree| Tree::file(tree.scalar().unwrap_or_default()).with_remarks_of(tree);
            Tree::map([("cert", file(cert)), ("key", file(key))])
        };
        scope.out.set("tls.certificates", Tree::list(vec![pair(cert, key)]));
    }
    let Some(member) = scope.member("http_address") else { return };
    let text = member.value.scalar().unwrap_or_default();
    let address = text.strip_prefix("http://").unwrap_or(&text);
    let redirects = scope.given("force_https").and_then(Tree::as_boolean) == Some(true);
    match values::address(address).filter(|_| redirects) {
        Some(address) => scope.out.set("listen.redirect", Tree::text(address).with_remarks_of(&member.value)),
        None if text.is_empty() => {}
        None => scope.lost(
            member,
            "the public listener speaks TLS only",
            "listen.public; let the terminator in front speak https to it",
        ),
    }
}

fn user_headers(scope: &mut Scope<'_, Plan>) {
    let flag = |key: &str, usual: bool| scope.given(key).and_then(Tree::as_boolean).unwrap_or(usual);
    let prefers_email = flag("prefer_email_to_user", false);
    if flag("pass_user_headers", true) {
        for (name, claim) in USER_HEADERS {
            let claim = if prefers_email && claim == "sub" { "email" } else { claim };
            scope.around.claim_headers.push((name.to_owned(), claim.to_owned()));
        }
    }
}

fn kind(scope: &mut Scope<'_, Plan>) {
    let kind = scope.given("provider").and_then(Tree::scalar).map(|kind| kind.to_ascii_lowercase());
    scope.around.kind = kind.unwrap_or_else(|| "google".to_owned());
    if let Some(tenant) = scope.given("azure_tenant").and_then(Tree::scalar)
        && scope.around.provider.issuer.is_none()
    {
        scope.around.provider.issuer = Some(Tree::text(azure(&tenant)));
    }
}

/// oauth2-proxy does not start without `email_domains` or a list of addresses: where the files do not say it, the
/// command line or the environment does.
fn who_may(plan: &mut Plan, document: Option<&Document>, journal: &mut Journal) {
    if plan.access.is_said() || plan.access.closed {
        return;
    }
    plan.access.closed = true;
    let place = document.and_then(|document| document.root.members().first()).and_then(|member| member.place.clone());
    journal.findings.push(Finding {
        weight: Weight::Protects,
        place: place.map(|place| super::tree::Place { line: 1, column: 1, ..place }),
        key: "email_domains".to_owned(),
        reason: "is not in the file, so who may pass is said elsewhere; nobody passes until it is said here".to_owned(),
        nearest: Some("allowed_domains, or allow_any_authenticated_user for `*`".to_owned()),
    });
}

fn told(journal: &mut Journal, weight: Weight, key: &str, (reason, nearest): (&str, &str)) {
    journal.findings.push(Finding {
        weight,
        place: None,
        key: key.to_owned(),
        reason: reason.to_owned(),
        nearest: Some(nearest.to_owned()),
    });
}

/// The host with its port.
fn host(plan: &Plan, journal: &mut Journal) -> String {
    plan.host.clone().unwrap_or_else(|| {
        told(
            journal,
            Weight::Lost,
            "redirect_url",
            ("is not in the file, so the host of the routes is not known", "routes[].from"),
        );
        NO_HOST.to_owned()
    })
}

/// The sign-in has a host of its own: beside the application's.
fn sign_in_host(host: &str) -> String {
    let host = host.split(':').next().unwrap_or(host);
    let parent = host.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.contains('.'));
    let chosen = format!("auth.{}", parent.unwrap_or(host));
    if chosen == host { format!("sign-in.{}", parent.unwrap_or(host)) } else { chosen }
}

fn provider(out: &mut Tree, plan: &Plan, journal: &mut Journal) {
    let Provider {
        issuer,
        client_id,
        client_secret,
        label,
        scopes,
        groups_claim,
        email_claim,
        takes_unverified_email,
        parameters,
        ca,
    } = plan.provider.clone();
    let kind = plan.kind.as_str();
    let usual = match kind {
        "google" => Some("https://accounts.google.com"),
        "gitlab" => Some("https://gitlab.com"),
        "login.gov" => Some("https://secure.login.gov/"),
        _ => None,
    };
    let oidc = ["oidc", "keycloak-oidc", "adfs", "cidaas", "entra-id", "azure", "gitlab", "login.gov", "google"]
        .contains(&kind);
    let issuer = issuer.or_else(|| usual.map(Tree::text)).filter(|_| oidc);
    let issuer = issuer.unwrap_or_else(|| {
        let why = if oidc {
            "the issuer is not in the file; nobody can sign in until it is named"
        } else {
            "this provider speaks no OpenID Connect; nobody can sign in until another is named"
        };
        told(journal, Weight::Protects, "provider", (why, "providers.NAME.issuer"));
        Tree::text(NOWHERE).remarked("migrate: the issuer of an OpenID Provider.")
    });
    let mut entry: Tree = Value::Map(Vec::new()).into();
    entry.set("issuer", issuer);
    entry.set("client_id", client_id.unwrap_or_else(|| Tree::text("missing")));
    for (key, value) in [
        ("client_secret", client_secret),
        ("label", label),
        ("scopes", scopes),
        ("claims.groups", groups_claim),
        ("claims.email", email_claim),
    ] {
        if let Some(value) = value {
            entry.set(key, value);
        }
    }
    // Azure never says whether an address is verified, so there the question was never asked.
    if !takes_unverified_email && !matches!(kind, "azure" | "entra-id" | "adfs") {
        let told_apart =
            Tree::boolean(true).remarked("oauth2-proxy refuses `false`; Portcullis refuses an answer without it too.");
        entry.set("claims.require_verified_email", told_apart);
    }
    if let Some(parameters) = plan::headers(&parameters) {
        entry.set("request_params", parameters);
    }
    if !ca.is_empty() {
        entry.set("ca", Tree::list(ca.into_iter().map(Tree::file).collect()));
    }
    let name: String = kind.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(64).collect();
    let name = if name.is_empty() { "main".to_owned() } else { name };
    let mut providers: Tree = Value::Map(Vec::new()).into();
    providers.set_key(&name, entry);
    out.set("providers", providers);
}

/// The longest path first, as oauth2-proxy looks them up; what is open stands before all.
fn routes(plan: &Plan, host: &str, journal: &mut Journal) -> Vec<Tree> {
    let mut upstreams: Vec<&Upstream> = plan.upstreams.iter().collect();
    upstreams.sort_by_key(|upstream| std::cmp::Reverse(upstream.path.weight()));
    if upstreams.is_empty() {
        told(
            journal,
            Weight::Lost,
            "upstreams",
            ("no upstream is in the files: another proxy asks this one", "routes, with the services that proxy serves"),
        );
    }
    let from = format!("https://{host}");
    let mut routes = Vec::new();
    for public in &plan.public {
        let Some(upstream) = opened(&upstreams, public.literal()) else {
            let reason = format!("`{}` may belong to several upstreams, so it stays closed", public.regex);
            told(
                journal,
                Weight::Lost,
                "skip_auth_routes",
                (&reason, "a route with allow_public_unauthenticated_access"),
            );
            continue;
        };
        let mut route = Tree::map([("from", Tree::text(from.clone())), ("regex", Tree::text(public.whole()))]);
        let prefix_of_regex = Upstream { path: UpstreamPath::Any, ..upstream.clone() };
        prefix_of_regex.put(&mut route);
        match public.method {
            None => route.set("allow_public_unauthenticated_access", Tree::boolean(true)),
            Some(_) => plan.access.put(&mut route, vec![public.rule()]),
        }
        finish(plan, upstream, &mut route);
        routes.push(route);
    }
    for upstream in upstreams {
        let mut route = Tree::map([("from", Tree::text(from.clone()))]);
        upstream.path.put(&mut route);
        upstream.put(&mut route);
        plan.access.put(&mut route, Vec::new());
        finish(plan, upstream, &mut route);
        routes.push(route);
    }
    routes
}

fn finish(plan: &Plan, upstream: &Upstream, route: &mut Tree) {
    if plan.cors_preflight {
        route.set("cors_allow_preflight", Tree::boolean(true));
    }
    if let (Target::Url(_), Some(headers)) = (&upstream.target, plan::headers(&plan.request_headers)) {
        route.set("set_request_headers", headers);
    }
    // `from` first, what it does next, who may last: as people write it.
    if let Value::Map(members) = &mut route.value {
        members
            .sort_by_key(|Member { key, .. }| key.starts_with("allow") && key != "allow_websockets" || key == "policy");
    }
}

/// The upstream that serves every path beginning with `literal`, unless several do.
fn opened<'a>(upstreams: &[&'a Upstream], literal: &str) -> Option<&'a Upstream> {
    for upstream in upstreams {
        match &upstream.path {
            UpstreamPath::Any => return Some(*upstream),
            UpstreamPath::Prefix(prefix) if literal.starts_with(prefix.as_str()) => return Some(*upstream),
            // Some paths that the expression opens are this one's.
            UpstreamPath::Prefix(path) | UpstreamPath::Exact(path) if path.starts_with(literal) => return None,
            UpstreamPath::Prefix(_) | UpstreamPath::Exact(_) => {}
            UpstreamPath::Regex(_) => return None,
        }
    }
    None
}
