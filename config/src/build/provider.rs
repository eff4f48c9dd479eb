//! Identity providers.

use std::collections::HashMap;
use std::time::Duration;

use portcullis_identity::ProviderName;
use rustls_pki_types::CertificateDer;
use url::{Host, Url};

use super::Build;
use crate::field::Field;
use crate::pem;
use crate::provider::{ClaimMapping, ClientAuth, Provider, ProviderTransport};
use crate::report::Fault;
use crate::schema::{ByteSize, ClaimNames, ClientAuthName, OneOrMany, Ordered, PemFile, Period, ProviderEntry};

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_TIMEOUT: Duration = Duration::from_secs(120);
const MAX_ANSWER_BYTES: usize = 1 << 20;
const SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// Parameters of the authorization request that are ours alone.
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

/// The providers in the order of the file.
pub(crate) fn providers(build: &mut Build<'_>, entries: Ordered<ProviderEntry>) -> Vec<Provider> {
    let at = Field::Root.key("providers");
    let mut providers = Vec::new();
    let mut issuers: HashMap<(String, String), String> = HashMap::new();
    for (name, entry) in entries.0 {
        let at = at.key(&name);
        let Some(provider) = provider(build, &at, &name, entry) else { continue };
        let identity = (provider.issuer.to_string(), provider.client_id.clone());
        if let Some(other) = issuers.insert(identity, name.clone()) {
            build.report.fault(&at, Fault::new(format!("is the same client of the same issuer as `{other}`")));
        }
        providers.push(provider);
    }
    providers
}

fn provider(build: &mut Build<'_>, at: &Field<'_>, name: &str, entry: ProviderEntry) -> Option<Provider> {
    let ProviderEntry {
        issuer,
        client_id,
        client_secret,
        client_auth,
        label,
        scopes,
        request_params,
        claims,
        egress_proxy,
        ca,
        timeout,
        max_answer_bytes,
    } = entry;
    build.report.take(at, provider_name(name));
    let issuer = build.report.take(&at.key("issuer"), self::issuer(&issuer));
    if client_id.trim().is_empty() {
        build.report.fault(&at.key("client_id"), Fault::new("is empty"));
    }
    let client_secret = match client_secret {
        Some(reference) => Some(build.secret(&at.key("client_secret"), &reference)?),
        None => None,
    };
    let client_auth = client_auth.map(|auth| match auth {
        ClientAuthName::Basic => ClientAuth::Basic,
        ClientAuthName::Post => ClientAuth::Post,
    });
    if client_auth.is_some() && client_secret.is_none() {
        build.report.fault(&at.key("client_auth"), Fault::new("there is no `client_secret` to present"));
    }
    let request_params = parameters(build, &at.key("request_params"), request_params);
    let transport = transport(build, at, Transport { egress_proxy, ca, timeout, max_answer_bytes })?;
    Some(Provider {
        name: ProviderName::new(name),
        label: label.unwrap_or_else(|| name.to_owned()).into(),
        issuer: issuer?,
        client_id,
        client_secret,
        client_auth,
        scopes: self::scopes(build, &at.key("scopes"), scopes),
        request_params,
        claims: mapping(build, &at.key("claims"), claims),
        transport,
    })
}

/// Names travel in query parameters, metric labels and messages.
fn provider_name(name: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err(Fault::new(format!("`{name}` is not a name")).help("use letters, digits, `-`, `_` and `.`"));
    }
    Ok(())
}

/// An issuer identifier (OpenID Connect Core 1.2): https, no query, no fragment; http on loopback only.
fn issuer(text: &str) -> Result<Url, Fault> {
    let url = Url::parse(text)
        .map_err(|_error| Fault::new(format!("`{text}` is not a URL")).help("write https://HOST/PATH"))?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("an issuer has neither query nor fragment nor user"));
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(Fault::new("an issuer speaks https; plain http is for loopback only")),
        _ => Err(Fault::new(format!("`{text}` is not an issuer")).help("write https://HOST/PATH")),
    }
}

/// Whether a URL leads to this machine and nowhere else.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn scopes(build: &mut Build<'_>, at: &Field<'_>, given: Option<Vec<String>>) -> Vec<String> {
    for (index, scope) in given.iter().flatten().enumerate() {
        // RFC 6749, section 3.3.
        let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        if scope.is_empty() || !scope.chars().all(fits) {
            build
                .report
                .fault(&at.index(index), Fault::new(format!("`{scope}` is not a scope")).help("one scope an entry"));
        }
    }
    let mut scopes = given.unwrap_or_else(|| SCOPES.map(str::to_owned).to_vec());
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    scopes
}

fn parameters(build: &mut Build<'_>, at: &Field<'_>, given: Ordered<String>) -> Vec<(String, String)> {
    for (name, _) in &given.0 {
        if OUR_PARAMETERS.contains(&name.as_str()) {
            build
                .report
                .fault(&at.key(name), Fault::new(format!("`{name}` is set by Portcullis itself")).confidential());
        }
    }
    given.0
}

fn mapping(build: &mut Build<'_>, at: &Field<'_>, claims: ClaimNames) -> ClaimMapping {
    let ClaimNames { email, name, groups, require_verified_email } = claims;
    for (key, claim) in [("email", &email), ("name", &name), ("groups", &groups)] {
        if claim.is_empty() {
            build.report.fault(&at.key(key), Fault::new("is empty").help("leave the key out for the usual claim"));
        }
    }
    ClaimMapping { email, name, groups, require_verified_email }
}

/// What the file says of how provider calls travel.
struct Transport {
    egress_proxy: Option<String>,
    ca: Option<OneOrMany<PemFile>>,
    timeout: Option<Period>,
    max_answer_bytes: Option<ByteSize>,
}

fn transport(build: &mut Build<'_>, at: &Field<'_>, given: Transport) -> Option<ProviderTransport> {
    let Transport { egress_proxy, ca, timeout, max_answer_bytes } = given;
    let egress_proxy = match egress_proxy {
        Some(url) => Some(build.report.take(&at.key("egress_proxy"), proxy_url(&url))?),
        None => None,
    };
    let mut roots: Vec<CertificateDer<'static>> = Vec::new();
    let list = at.key("ca");
    for (index, file) in ca.unwrap_or_default().0.iter().enumerate() {
        let at = list.index(index);
        let found = build.pem_file(&at, file)?;
        let read =
            pem::certificates(&found.text).map_err(|error| Fault::new(format!("{}: {error}", found.origin.display())));
        roots.extend(build.report.take(&at, read)?);
    }
    let timeout = timeout.map_or(TIMEOUT, |period| period.0);
    if timeout.is_zero() || timeout > MAX_TIMEOUT {
        build.report.fault(&at.key("timeout"), Fault::new("must be longer than 0 and at most 2m"));
    }
    let max_answer_bytes = max_answer_bytes.map_or(MAX_ANSWER_BYTES, |size| size.0);
    if !(4096..=64 << 20).contains(&max_answer_bytes) {
        build.report.fault(&at.key("max_answer_bytes"), Fault::new("must be between 4KiB and 64MiB"));
    }
    Some(ProviderTransport { egress_proxy, ca: roots, timeout, max_answer_bytes })
}

fn proxy_url(text: &str) -> Result<Url, Fault> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| Fault::new("is not the address of a proxy").help("write http://HOST:PORT").confidential())
}
