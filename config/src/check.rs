//! What is wrong or odd only when one looks at the whole: routes that nobody reaches, names that are served
//! without a certificate, sign-ins without a place for them.

mod reach;

use std::collections::HashSet;

use crate::build::host::serves;
use crate::client_trust::DownstreamMtls;
use crate::field::Field;
use crate::model::Config;
use crate::pem;
use crate::report::{Fault, Report};
use crate::route::{HostPattern, PathPattern, Route, TemplatePart};

/// Looks at a whole configuration whose parts are right.
pub(crate) fn config(report: &mut Report<'_>, config: &Config) {
    sign_in(report, config);
    for (index, route) in config.routes.iter().enumerate() {
        our_paths(report, config, index, route);
        owned_hosts(report, index, route);
        cookie_domain(report, config, index, route);
        unknown_facts(report, index, route);
    }
    enforcement(report, config);
    reach::routes(report, &config.routes);
    certificates(report, config);
    if config.routes.is_empty() {
        report.warn(&Field::Root.key("routes"), "there is no route: every request is answered with 404", None);
    }
}

/// Whether a route can ask for a sign-in: its policy looks at who asks, or it has needs of its own.
fn asks_who(route: &Route) -> bool {
    let needs = &route.needs;
    let more = !needs.providers.is_empty() || needs.max_age.is_some() || !needs.acr.is_empty();
    !route.policy.is_public() && (more || route.policy.asks_who())
}

/// A route that asks for a sign-in needs a host for it and a provider.
fn sign_in(report: &mut Report<'_>, config: &Config) {
    let asking = config.routes.iter().position(|route| asks_who(route));
    let (Some(index), Some(route)) = (asking, asking.and_then(|index| config.routes.get(index))) else { return };
    let line = route.line;
    if config.sign_in.host.is_empty() {
        let fault = Fault::new(format!("the route on line {line} needs a sign-in, but `sign_in.host` is missing"));
        report.fault(&Field::Root.key("sign_in"), fault.help("write `sign_in: {host: auth.example.com}`"));
    }
    if config.providers.is_empty() {
        let list = Field::Root.key("routes");
        let fault = Fault::new("this route needs a sign-in, but there is no provider");
        report.fault(&list.index(index), fault.help("write `providers`, or make the route public"));
    }
}

/// The sign-in host and the paths of our namespace are ours on every host.
fn our_paths(report: &mut Report<'_>, config: &Config, index: usize, route: &Route) {
    let list = Field::Root.key("routes");
    let at = list.index(index);
    if let HostPattern::Exact(host) = &route.host
        && **host == *config.sign_in.host
    {
        let fault = Fault::new("this host is the sign-in host, which serves nothing else");
        report.fault(&at.key("from"), fault.help("give the sign-in a host of its own"));
    }
    let (PathPattern::Prefix(path) | PathPattern::Exact(path)) = &route.path else { return };
    let prefix = config.sign_in.namespace.path_prefix();
    if path.starts_with(prefix) || path.starts_with(config.sign_in.namespace.well_known_prefix()) {
        report.warn(&at, format!("paths below {prefix} are ours: no request reaches this route"), None);
    }
}

/// A pattern without a domain of its own serves names of strangers, and a sign-in for a name is handed over to it.
fn owned_hosts(report: &mut Report<'_>, index: usize, route: &Route) {
    let HostPattern::Wildcard(pattern) = &route.host else { return };
    let suffix = pattern.rsplit('*').next().unwrap_or_default();
    // What stands before the first dot is the end of somebody's label: `*corp.test` takes evilcorp.test.
    let labels = suffix.split('.').skip(1).count();
    if labels < 2 && !suffix.ends_with(".localhost") {
        let list = Field::Root.key("routes");
        let message = format!("anybody can own a name that fits {pattern}: sign-ins are handed over to it");
        let help = "end the pattern in a domain of yours: https://*.corp.example";
        report.warn(&list.index(index).key("from"), message, Some(help));
    }
}

/// A rule or a header about what is never known here.
fn unknown_facts(report: &mut Report<'_>, index: usize, route: &Route) {
    let list = Field::Root.key("routes");
    let at = list.index(index);
    if route.client_trust.is_none() {
        let help = "write `downstream_mtls: {ca_file: PATH}`";
        if route.policy.reads_client_certificate() {
            let message = "the policy looks at client certificates, but without a CA no client is asked for one";
            report.warn(&at.key("policy"), message, Some(help));
        }
        if route.headers.set_request.iter().any(|(_, template)| template.0.iter().any(is_of_the_certificate)) {
            let message = "tokens of the client certificate are empty: without a CA no client is asked for one";
            report.warn(&at.key("set_request_headers"), message, Some(help));
        }
    }
    if route.policy.reads_mcp_tool() {
        let message = "`mcp_tool` is never known, because bodies are not read: whatever hangs on it is denied";
        let help = "decide by `http_path` and `http_method`, or leave tools to the MCP server";
        report.warn(&at.key("policy"), message, Some(help));
    }
}

const fn is_of_the_certificate(part: &TemplatePart) -> bool {
    match part {
        TemplatePart::ClientCertificateFingerprint
        | TemplatePart::ClientCertificateDnsNames
        | TemplatePart::ClientCertificateEmailAddresses => true,
        TemplatePart::Literal(_)
        | TemplatePart::AccessToken
        | TemplatePart::IdToken
        | TemplatePart::Assertion
        | TemplatePart::RequestHeader(_) => false,
    }
}

/// With `enforcement: policy` a certificate is what policies make of it, and without such a policy nothing.
fn enforcement(report: &mut Report<'_>, config: &Config) {
    let DownstreamMtls { trust, enforcement, revocations: _ } = &config.downstream_mtls;
    let looked_at = config.routes.iter().any(|route| route.policy.reads_client_certificate());
    if trust.is_some() && !enforcement.denies_by_default() && !looked_at {
        let section = Field::Root.key("downstream_mtls");
        let message = "no policy looks at client certificates: whoever has none gets in all the same";
        report.warn(&section.key("enforcement"), message, Some("leave the key out: every route then denies them"));
    }
}

/// A browser drops a cookie for a domain that the host is not in, and so would sign in for ever.
fn cookie_domain(report: &mut Report<'_>, config: &Config, index: usize, route: &Route) {
    let Some(domain) = config.sign_in.cookie.domain.as_deref() else { return };
    let (HostPattern::Exact(host) | HostPattern::Wildcard(host)) = &route.host;
    if asks_who(route) && !is_below(host, domain) {
        let list = Field::Root.key("routes");
        let at = list.index(index);
        let fault = Fault::new(format!("{host} is not in `cookie.domain` ({domain}): browsers would drop its cookies"));
        report.fault(&at.key("from"), fault);
    }
    let host = &config.sign_in.host;
    if index == 0 && !host.is_empty() && !is_below(host, domain) {
        let fault = Fault::new(format!("the sign-in host {host} is not in this domain"));
        report.fault(&Field::Root.key("cookie").key("domain"), fault);
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Which names have a certificate, and which certificates a name.
fn certificates(report: &mut Report<'_>, config: &Config) {
    let section = Field::Root.key("tls");
    if config.tls.certificates.is_empty() {
        if config.services.runs(crate::model::Service::Proxy) {
            let message = "there is no certificate: a self-signed one is made, which browsers warn of";
            report.warn(&section, message, Some("write `tls: {certificates: [{cert: {file: …}, key: {file: …}}]}`"));
        }
        return;
    }
    let hosts = hosts(config);
    let mut served: HashSet<&str> = HashSet::new();
    let list = section.key("certificates");
    for (index, certificate) in config.tls.certificates.iter().enumerate() {
        let names = certificate.chain.first().map(pem::names).unwrap_or_default();
        let covered: Vec<&str> =
            hosts.iter().copied().filter(|host| names.iter().any(|name| covers(name, host))).collect();
        if covered.is_empty() {
            let shown = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            let message = format!("{} is for {shown}: no route has such a host", certificate.origin.display());
            report.warn(&list.index(index), message, None);
        }
        served.extend(covered);
    }
    let mut bare: Vec<&str> = hosts.iter().copied().filter(|host| !served.contains(host)).collect();
    bare.sort_unstable();
    bare.dedup();
    if let Some(first) = bare.first() {
        let more = bare.len().saturating_sub(1);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        report.warn(&list, format!("no certificate names {first}{more}: browsers will refuse it"), None);
    }
}

/// Every host that clients may ask for.
fn hosts(config: &Config) -> Vec<&str> {
    let mut hosts: Vec<&str> = Vec::new();
    let mut seen = HashSet::new();
    let sign_in = Some(&*config.sign_in.host).filter(|host| !host.is_empty());
    let routes = config.routes.iter().map(|route| match &route.host {
        HostPattern::Exact(host) | HostPattern::Wildcard(host) => &**host,
    });
    hosts.extend(sign_in.into_iter().chain(routes).filter(|host| seen.insert(*host)));
    hosts
}

/// Whether a name of a certificate serves a host: equal, or with `*` for exactly the first label (RFC 6125).
/// For a pattern of a route it is enough that the name serves some host of it.
fn covers(name: &str, host: &str) -> bool {
    if host.contains('*') {
        let pattern = HostPattern::Wildcard(host.into());
        return name == host || serves(&pattern, name) || serves(&pattern, &name.replacen('*', "x", 1));
    }
    match name.strip_prefix("*.") {
        Some(rest) => host.split_once('.').is_some_and(|(label, behind)| !label.is_empty() && behind == rest),
        None => name == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_certificate_serves_one_label() {
        for (name, host, expected) in [
            ("*.corp.test", "a.corp.test", true),
            ("*.corp.test", "a.b.corp.test", false),
            ("*.corp.test", "corp.test", false),
            ("corp.test", "corp.test", true),
            ("*.corp.test", "*.corp.test", true),
            ("a.corp.test", "*.corp.test", true),
            ("*.other.test", "*.corp.test", false),
        ] {
            assert_eq!(covers(name, host), expected, "{name} {host}");
        }
    }

    #[test]
    fn a_domain_ends_at_a_dot() {
        assert!(is_below("a.corp.test", "corp.test"));
        assert!(is_below("corp.test", "corp.test"));
        assert!(!is_below("evilcorp.test", "corp.test"));
    }
}
