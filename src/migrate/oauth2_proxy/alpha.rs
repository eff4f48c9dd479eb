//! Every key of oauth2-proxy's alpha configuration, once, with what becomes of it.

use super::classic::{self, File};
use super::plan::{Plan, Target, Upstream, UpstreamPath};
use crate::migrate::pomerium::carries_claims;
use crate::migrate::scope::Treatment::{Converts, Elsewhere, Lost, Needless};
use crate::migrate::scope::{Key, Treatment};
use crate::migrate::tree::{Member, Tree, Value};
use crate::migrate::values;

const fn key(name: &'static str, treatment: Treatment<Plan>) -> Key<Plan> {
    Key { name, treatment }
}

/// The sections of the file, in lower case as they are looked up.
pub(crate) const ALPHA: &[Key<Plan>] = &[
    key("injectrequestheaders", Converts(request_headers)),
    key(
        "injectresponseheaders",
        Lost("Portcullis is the proxy itself, not one that another asks", "assertion.claim_headers"),
    ),
    key("upstreamconfig", Converts(upstream_config)),
    key("server", Converts(server)),
    key("metricsserver", Converts(metrics_server)),
    key("providers", Converts(providers)),
];

/// The settings of a provider.
pub(crate) const PROVIDER: &[Key<Plan>] = &[
    key("id", Needless("the provider is named after its kind")),
    key("provider", Elsewhere),
    key("name", Converts(label)),
    key("clientid", Converts(client_id)),
    key("clientsecret", Converts(client_secret)),
    key("clientsecretfile", Converts(client_secret_file)),
    key("oidcconfig", Converts(oidc_config)),
    key("scope", Converts(scopes)),
    key("allowedgroups", Converts(allowed_groups)),
    key("loginurlparameters", Converts(login_parameters)),
    key("cafiles", Converts(ca_files)),
    key("usesystemtruststore", Needless("the roots of the system are always believed too")),
    key("code_challenge_method", Needless("every sign-in uses PKCE with S256")),
    key("backendlogouturl", Lost("the provider's own end-session endpoint is used", "")),
    key("loginurl", Lost("discovery below the issuer says it", "providers.NAME.issuer")),
    key("redeemurl", Lost("discovery below the issuer says it", "providers.NAME.issuer")),
    key("profileurl", Lost("discovery below the issuer says it", "providers.NAME.issuer")),
    key("validateurl", Lost("discovery below the issuer says it", "providers.NAME.issuer")),
    key("skipclaimsfromprofileurl", Lost("userinfo is asked where the ID token says too little", "")),
    key("resource", Lost("is a parameter of the sign-in", "providers.NAME.request_params")),
    key("azureconfig", Elsewhere),
    key("microsoftentraidconfig", Converts(group_config)),
    key("adfsconfig", Needless("ADFS needs nothing special")),
    key("keycloakconfig", Converts(group_config)),
    key("bitbucketconfig", Converts(group_config)),
    key("githubconfig", Converts(group_config)),
    key("gitlabconfig", Converts(group_config)),
    key("googleconfig", Converts(group_config)),
    key("logingovconfig", Lost("a client authenticates with its secret", "")),
];

fn providers(scope: &mut File<'_>, member: &Member) {
    let list = member.value.as_list().unwrap_or_default();
    if list.len() > 1 {
        scope.lost(member, "the first provider is taken, as oauth2-proxy does", "providers");
    }
    let Some(first) = list.first() else { return };
    scope.around.kind = first.get("provider").and_then(Tree::scalar).unwrap_or_default().to_ascii_lowercase();
    if let Some(tenant) = first.get("azureConfig").and_then(|config| config.get("tenant")).and_then(Tree::scalar) {
        scope.around.provider.issuer = Some(Tree::text(super::azure(&tenant)));
    }
    let mut inner = crate::migrate::scope::Scope {
        source: first,
        prefix: "providers[0].".to_owned(),
        out: Value::Null.into(),
        around: scope.around.clone(),
        journal: scope.journal,
    };
    inner.apply(PROVIDER);
    scope.around = inner.around;
}

fn label(scope: &mut File<'_>, member: &Member) {
    scope.around.provider.label = Some(member.value.clone());
}

fn client_id(scope: &mut File<'_>, member: &Member) {
    scope.around.provider.client_id = Some(member.value.clone());
}

fn client_secret(scope: &mut File<'_>, member: &Member) {
    let text = member.value.scalar().filter(|text| !text.is_empty());
    let Some(text) = text else { return };
    let reference = scope.journal.secrets.file("idp", "the client secret (clientSecret)", &text);
    scope.around.provider.client_secret = Some(reference.with_remarks_of(&member.value));
}

fn client_secret_file(scope: &mut File<'_>, member: &Member) {
    if let Some(path) = member.value.scalar() {
        scope.around.provider.client_secret = Some(Tree::file(path).with_remarks_of(&member.value));
    }
}

fn scopes(scope: &mut File<'_>, member: &Member) {
    let scopes: Vec<String> = member.value.scalar().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if !scopes.is_empty() {
        scope.around.provider.scopes = Some(Tree::texts(scopes).with_remarks_of(&member.value));
    }
}

fn allowed_groups(scope: &mut File<'_>, member: &Member) {
    scope.around.access.groups.extend(member.value.strings());
}

fn ca_files(scope: &mut File<'_>, member: &Member) {
    scope.around.provider.ca = member.value.strings();
}

fn oidc_config(scope: &mut File<'_>, member: &Member) {
    for setting in member.value.members() {
        let provider = &mut scope.around.provider;
        match setting.key.to_ascii_lowercase().as_str() {
            "issuerurl" => provider.issuer = Some(setting.value.clone()),
            "groupsclaim" => provider.groups_claim = Some(setting.value.clone()),
            "emailclaim" | "useridclaim" => provider.email_claim = Some(setting.value.clone()),
            "insecureallowunverifiedemail" => {
                provider.takes_unverified_email = setting.value.as_boolean() == Some(true)
            }
            _ if setting.value.is_off() => {}
            _ => scope.lost(setting, "discovery and the ID token are checked in full, the same way for everybody", ""),
        }
    }
}

/// Only fixed values: what a caller may choose of a sign-in is not a matter of the configuration.
fn login_parameters(scope: &mut File<'_>, member: &Member) {
    for parameter in member.value.as_list().unwrap_or_default() {
        let name = parameter.get("name").and_then(Tree::scalar).unwrap_or_default();
        let usual = parameter.get("default").map(Tree::strings).unwrap_or_default();
        match usual.as_slice() {
            [value] if !name.is_empty() => scope.around.provider.parameters.push((name, value.clone())),
            _ => scope.lost(member, &format!("`{name}` has no single default"), "providers.NAME.request_params"),
        }
    }
}

/// Sections whose lists restrict.
fn group_config(scope: &mut File<'_>, member: &Member) {
    let restricts =
        ["group", "groups", "roles", "org", "team", "repo", "repository", "users", "projects", "allowedtenants"];
    for setting in member.value.members().iter().filter(|setting| !setting.value.is_off()) {
        if restricts.contains(&setting.key.to_ascii_lowercase().as_str()) {
            classic::restriction(scope, setting);
        } else {
            scope.lost(setting, "no directory is asked", "");
        }
    }
}

fn upstream_config(scope: &mut File<'_>, member: &Member) {
    for setting in member.value.members() {
        match setting.key.to_ascii_lowercase().as_str() {
            "upstreams" => {
                setting.value.as_list().unwrap_or_default().iter().for_each(|entry| upstream(scope, setting, entry));
            }
            _ if setting.value.is_off() => {}
            _ => scope.lost(setting, "paths always have one form; what is ambiguous is refused", ""),
        }
    }
}

fn upstream(scope: &mut File<'_>, member: &Member, entry: &Tree) {
    let text = |key: &str| entry.get(key).and_then(Tree::scalar).filter(|text| !text.is_empty());
    let flag = |key: &str, usual: bool| entry.get(key).and_then(Tree::as_boolean).unwrap_or(usual);
    let path = UpstreamPath::of(&text("path").unwrap_or_default());
    let uri = text("uri").unwrap_or_default();
    let target = if flag("static", false) {
        Target::Status(text("staticCode").and_then(|code| code.parse().ok()).unwrap_or(200))
    } else {
        match values::web_address(&uri) {
            Some(url) if matches!(url.scheme.as_str(), "http" | "https") => {
                let port = url.port.map(|port| format!(":{port}")).unwrap_or_default();
                Target::Url(format!("{}://{}{port}", url.scheme, url.host))
            }
            _ => return scope.lost(member, &format!("`{uri}` is not spoken to"), "a web server on loopback"),
        }
    };
    let rewrite = text("rewriteTarget");
    if rewrite.as_ref().is_some_and(|to| to.contains('?')) {
        scope.lost(member, "a rewrite does not make a query; the route is left away", "regex_rewrite_substitution");
        return;
    }
    let skip_verify = flag("insecureSkipTLSVerify", false) && uri.starts_with("https");
    scope.around.upstreams.push(Upstream {
        path,
        target,
        preserve_host: flag("passHostHeader", true),
        websockets: flag("proxyWebSockets", true),
        skip_verify,
        timeout: entry.get("timeout").and_then(values::duration),
        rewrite,
        remarks: entry.clone(),
    });
}

/// Claims become claim headers, tokens become tokens; what is secret has no place in our file.
fn request_headers(scope: &mut File<'_>, member: &Member) {
    for header in member.value.as_list().unwrap_or_default() {
        let name = header.get("name").and_then(Tree::scalar).unwrap_or_default();
        for value in header.get("values").and_then(Tree::as_list).unwrap_or_default() {
            let claim = value.get("claim").or_else(|| value.get("claimSource")?.get("claim")).and_then(Tree::scalar);
            let prefix = value.get("prefix").and_then(Tree::scalar).unwrap_or_default();
            let basic = value.get("basicAuthPassword").is_some();
            match claim.as_deref() {
                Some(token @ ("access_token" | "id_token")) if !basic => {
                    scope.around.request_headers.push((name.clone(), format!("{prefix}${{portcullis.{token}}}")));
                }
                Some(claim) if prefix.is_empty() && !basic && carries_claims(&name) => {
                    let claim = if claim == "user" { "sub" } else { claim };
                    scope.around.claim_headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
                    scope.around.claim_headers.push((name.clone(), claim.to_owned()));
                }
                _ => scope.lost(
                    member,
                    &format!("`{name}` is neither a plain claim nor a token"),
                    "routes[].set_request_headers",
                ),
            }
        }
    }
}

fn server(scope: &mut File<'_>, member: &Member) {
    let text =
        |key: &str| member.value.get(key).and_then(Tree::scalar).filter(|text| !matches!(text.as_str(), "" | "-"));
    if text("bindAddress").is_some() {
        scope.lost(member, "the public listener speaks TLS only", "let the terminator in front speak https to it");
    }
    if let Some(address) = text("secureBindAddress").and_then(|text| values::address(&text)) {
        scope.out.set("listen.public", Tree::text(address));
    }
    let Some(tls) = member.value.get("tls") else { return };
    let path = |key: &str| tls.get(key)?.get("fromFile")?.scalar();
    match (path("cert"), path("key")) {
        (Some(cert), Some(key)) => {
            let pair = Tree::map([("cert", Tree::file(cert)), ("key", Tree::file(key))]);
            scope.out.set("tls.certificates", Tree::list(vec![pair]));
        }
        _ => scope.lost(member, "certificate and key are not both files", "tls.certificates"),
    }
}

fn metrics_server(scope: &mut File<'_>, member: &Member) {
    let address = member.value.get("bindAddress").and_then(Tree::scalar).and_then(|text| values::address(&text));
    if let Some(address) = address {
        scope.out.set("listen.telemetry", Tree::text(address));
    }
}
