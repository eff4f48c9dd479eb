//! Who signs people in, and on which host.

use super::around::{Around, Whole};
use crate::migrate::findings::{Finding, Weight};
use crate::migrate::scope::Scope;
use crate::migrate::tree::{Remarks, Tree, Value};
use crate::migrate::values;

type Global<'a> = Scope<'a, Whole>;

/// The provider that stands in until somebody names a real one: nobody can sign in there.
const NOWHERE: &str = "https://idp.invalid";

/// The host that stands in for the hosted sign-in.
const NO_HOST: &str = "authenticate.invalid";

/// Parameters of the authorization request that Portcullis sets by itself.
const OUR_PARAMETERS: [&str; 10] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
];

/// What a provider of the reference is in ours.
struct Kind {
    name: &'static str,
    /// Its issuer, where the file need not name it.
    issuer: Option<&'static str>,
    /// The scopes that the reference asks for by itself, where they differ from ours.
    scopes: &'static [&'static str],
    parameters: &'static [(&'static str, &'static str)],
}

const OFFLINE: &[&str] = &["openid", "profile", "email", "offline_access"];

const KINDS: [Kind; 10] = [
    Kind {
        name: "google",
        issuer: Some("https://accounts.google.com"),
        scopes: &[],
        parameters: &[("access_type", "offline"), ("prompt", "select_account consent")],
    },
    Kind { name: "azure", issuer: None, scopes: OFFLINE, parameters: &[("prompt", "select_account")] },
    Kind { name: "okta", issuer: None, scopes: OFFLINE, parameters: &[] },
    Kind { name: "auth0", issuer: None, scopes: OFFLINE, parameters: &[] },
    Kind { name: "gitlab", issuer: Some("https://gitlab.com"), scopes: &[], parameters: &[] },
    Kind {
        name: "onelogin",
        issuer: Some("https://openid-connect.onelogin.com/oidc"),
        scopes: OFFLINE,
        parameters: &[],
    },
    Kind { name: "ping", issuer: None, scopes: OFFLINE, parameters: &[] },
    Kind { name: "cognito", issuer: None, scopes: &[], parameters: &[] },
    Kind { name: "apple", issuer: Some("https://appleid.apple.com"), scopes: &["openid"], parameters: &[] },
    Kind { name: "oidc", issuer: None, scopes: OFFLINE, parameters: &[] },
];

/// The host of `authenticate_service_url`, unless it is the hosted one.
pub(crate) fn sign_in_host(root: &Tree) -> Option<String> {
    let url = values::web_address(&root.get("authenticate_service_url")?.scalar()?)?;
    (!is_hosted(&url.host)).then_some(url.host)
}

fn is_hosted(host: &str) -> bool {
    host == "authenticate.pomerium.app" || host.ends_with(".pomerium.app")
}

/// The sign-in host, the main provider, and one more for every client that routes bring.
pub(crate) fn providers(scope: &mut Global<'_>, routes: &[(String, &Tree)], restricted: bool) -> Around {
    let kind = scope.given("idp_provider").and_then(Tree::scalar).unwrap_or_default().to_ascii_lowercase();
    let named = !kind.is_empty() || scope.given("idp_client_id").is_some();
    if !named && !restricted {
        host(scope, false);
        return Around::default();
    }
    host(scope, restricted);
    let main = if kind.is_empty() { "main".to_owned() } else { kind.clone() };
    let main = if fits(&main) { main } else { "main".to_owned() };
    let template = template(scope, &kind);
    let mut provider = template.clone();
    let id = scope.given("idp_client_id");
    if let Some(text) = id.and_then(Tree::scalar) {
        provider.set("client_id", id.into_iter().fold(Tree::text(text), Tree::with_remarks_of));
    }
    if let Some(secret) = client_secret(scope, &format!("idp-{main}")) {
        provider.set("client_secret", secret);
    }
    scope.out.set("providers", Value::Map(Vec::new()).into());
    put(scope, &main, provider);
    let own = id.and_then(Tree::scalar).unwrap_or_else(|| "missing".to_owned());
    let clients = clients(scope, routes, (&main, &own), &template);
    Around { main_provider: main, clients, ..Around::default() }
}

fn put(scope: &mut Global<'_>, name: &str, provider: Tree) {
    let mut all = scope.out.remove("providers").unwrap_or_else(|| Value::Map(Vec::new()).into());
    all.set_key(name, provider);
    scope.out.set("providers", all);
}

fn host(scope: &mut Global<'_>, needed: bool) {
    let member = scope.member("authenticate_service_url");
    if let (Some(member), Some(host)) = (member, sign_in_host(scope.source)) {
        scope.out.set("sign_in.host", Tree::text(host).with_remarks_of(&member.value));
        let port = member.value.scalar().and_then(|url| values::web_address(&url)).and_then(|url| url.port);
        if port.is_some_and(|port| port != 443) {
            scope.note(member, "the port is that of the public listener, for every host");
        }
        return;
    }
    if !needed {
        return;
    }
    let domain = scope.out.at("cookie.domain").and_then(Tree::scalar);
    let stand_in = domain.map_or_else(|| NO_HOST.to_owned(), |domain| format!("authenticate.{domain}"));
    scope.out.set(
        "sign_in.host",
        Tree::text(stand_in).remarked("migrate: the host that people sign in on, with DNS and certificate."),
    );
    without_place(
        scope,
        "authenticate_service_url",
        "the hosted sign-in is not ours: people need a host and a provider of yours",
        "sign_in.host",
    );
}

/// Names a key that protects, where it stands or as missing.
fn without_place(scope: &mut Global<'_>, key: &str, reason: &str, nearest: &str) {
    let place = scope.member(key).and_then(|member| member.place.clone());
    scope.journal.findings.push(Finding {
        weight: Weight::Protects,
        place,
        key: key.to_owned(),
        reason: reason.to_owned(),
        nearest: Some(nearest.to_owned()),
    });
}

/// A provider without a client.
fn template(scope: &mut Global<'_>, kind: &str) -> Tree {
    let known = KINDS.iter().find(|known| known.name == kind);
    let mut provider: Tree = Value::Map(Vec::new()).into();
    let url = scope.given("idp_provider_url");
    let issuer = match known {
        Some(known) => {
            let issuer = url.and_then(Tree::scalar).or_else(|| known.issuer.map(str::to_owned));
            if issuer.is_none() {
                let why = "this provider's issuer is not known; nobody can sign in until it is";
                without_place(scope, "idp_provider_url", why, "providers.NAME.issuer");
            }
            if kind == "azure" && issuer.as_ref().is_some_and(|issuer| issuer.contains("/common/")) {
                let why = "the issuer of `common` is another for each tenant, which is not believed";
                without_place(scope, "idp_provider_url", why, "https://login.microsoftonline.com/TENANT/v2.0");
            }
            if kind == "apple"
                && let Some(member) = scope.member("idp_provider")
            {
                scope.lost(
                    member,
                    "Apple tells name and address only by `form_post`, which is not spoken",
                    "another provider",
                );
            }
            issuer
        }
        None => {
            let why = match kind {
                "github" => "GitHub speaks no OpenID Connect; nobody can sign in until another provider is named",
                "" | "hosted" => "the hosted provider is not ours; nobody can sign in until another provider is named",
                _ => "an unknown provider; nobody can sign in until another is named",
            };
            without_place(scope, "idp_provider", why, "an OpenID Provider in `providers`");
            None
        }
    };
    let remarks = scope.given("idp_provider");
    let text = issuer.unwrap_or_else(|| NOWHERE.to_owned());
    let mut issuer = Tree::text(text.clone());
    for from in remarks.into_iter().chain(url) {
        issuer = issuer.with_remarks_of(from);
    }
    if text == NOWHERE {
        issuer = issuer.remarked("migrate: the issuer of an OpenID Provider.");
    }
    provider.set("issuer", issuer);
    // Its place is here, its value comes with the client.
    provider.set("client_id", Tree::text("missing"));
    scopes(scope, known, &mut provider);
    parameters(scope, known, &mut provider);
    provider
}

fn scopes(scope: &Global<'_>, known: Option<&Kind>, provider: &mut Tree) {
    let usual = known.map_or(&[][..], |kind| kind.scopes);
    match scope.given("idp_scopes") {
        Some(given) => provider.set("scopes", Tree::texts(given.strings()).with_remarks_of(given)),
        None if !usual.is_empty() => provider.set("scopes", Tree::texts(usual.iter().copied())),
        None => {}
    }
}

fn parameters(scope: &mut Global<'_>, known: Option<&Kind>, provider: &mut Tree) {
    let mut parameters: Tree = Value::Map(Vec::new()).into();
    for (name, value) in known.map_or(&[][..], |kind| kind.parameters) {
        parameters.set_key(name, Tree::text(*value));
    }
    if let Some(given) = scope.given("idp_request_params") {
        for member in given.members() {
            match member.value.scalar() {
                _ if OUR_PARAMETERS.contains(&member.key.as_str()) => {
                    scope.lost(member, "this parameter is set by Portcullis itself", "providers.NAME.request_params");
                }
                Some(text) => parameters.set_key(&member.key, Tree::text(text).with_remarks_of(&member.value)),
                None => scope.lost(member, "is no text", "providers.NAME.request_params"),
            }
        }
        parameters = parameters.with_remarks_of(given);
    }
    if !parameters.members().is_empty() {
        provider.set("request_params", parameters);
    }
}

fn client_secret(scope: &mut Global<'_>, name: &str) -> Option<Tree> {
    if let Some(value) = scope.given("idp_client_secret") {
        let text = value.scalar().unwrap_or_default();
        return Some(
            scope.journal.secrets.file(name, "the client secret (idp_client_secret)", &text).with_remarks_of(value),
        );
    }
    let file = scope.given("idp_client_secret_file")?;
    Some(Tree::file(file.scalar().unwrap_or_default()).with_remarks_of(file))
}

/// A provider for every further client, each with the name that its routes refer to.
fn clients(
    scope: &mut Global<'_>,
    routes: &[(String, &Tree)],
    (main, own): (&str, &str),
    template: &Tree,
) -> Vec<(String, String)> {
    let mut clients: Vec<(String, String)> = Vec::new();
    for (_, route) in routes {
        let Some(id) = route.get("idp_client_id").and_then(Tree::scalar).filter(|id| !id.is_empty()) else { continue };
        if id == own || clients.iter().any(|(known, _)| *known == id) {
            continue;
        }
        let name = format!("{main}-{}", clients.len().saturating_add(2));
        let mut provider = template.clone();
        strip_remarks(&mut provider);
        provider.set("client_id", Tree::text(id.clone()));
        if let Some(secret) = route.get("idp_client_secret").and_then(Tree::scalar).filter(|text| !text.is_empty()) {
            let holds = format!("the client secret of client {id} (a route's idp_client_secret)");
            provider.set("client_secret", scope.journal.secrets.file(&format!("idp-{name}"), &holds, &secret));
        }
        put(scope, &name, provider);
        clients.push((id, name));
    }
    clients
}

fn strip_remarks(tree: &mut Tree) {
    tree.remarks = Remarks::default();
    match &mut tree.value {
        Value::Map(members) => members.iter_mut().for_each(|member| strip_remarks(&mut member.value)),
        Value::List(items) => items.iter_mut().for_each(strip_remarks),
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

fn fits(name: &str) -> bool {
    name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
