//! Documents for programs: keys, addresses, a sign-in URL, a sign of life.

use http::{HeaderValue, header};
use portcullis_config::Namespace;
use portcullis_gate::RequestView;
use portcullis_reply::{Caller, SignInFailure};
use url::{Host, Url};

use super::parameter;
use crate::published::origin;
use crate::replies::Answer;
use crate::sign_in;
use crate::traffic::Context;

/// How long the public keys may be kept by their readers.
const KEYS_KEPT: &str = "max-age=60";

/// The public keys of the assertion.
pub(crate) fn jwks(context: &Context, caller: &Caller<'_>) -> Answer {
    kept(portcullis_reply::document(caller, context.published.keys.assertion.jwks()))
}

/// Where everything is.
pub(crate) fn discovery(context: &Context, caller: &Caller<'_>, view: &RequestView<'_>) -> Answer {
    let sign_in = &context.published.config.sign_in;
    let own = origin(view.host(), view.port());
    let authority = origin(&sign_in.host, view.port());
    let document = serde_json::json!({
        "issuer": format!("{own}/"),
        "authentication_callback_endpoint": format!("{authority}{}", sign_in.namespace.provider_callback_path()),
        "jwks_uri": format!("{own}{}jwks.json", sign_in.namespace.well_known_prefix()),
    });
    kept(portcullis_reply::document(caller, document.to_string()))
}

/// A sign-in for a program: the answer's text is the address to open in a browser.
pub(crate) fn api_login(context: &Context, caller: &Caller<'_>, view: &RequestView<'_>) -> Answer {
    let name = match context.published.config.sign_in.namespace {
        Namespace::Portcullis => "portcullis_redirect_uri",
        Namespace::Pomerium => "pomerium_redirect_uri",
    };
    let hosts = &context.published.config.sign_in.programmatic_hosts;
    let Some(given) = parameter(view, name).filter(|_| !hosts.is_empty()) else {
        return portcullis_reply::not_found(caller);
    };
    match Url::parse(&given).ok().filter(|url| may_return(url, hosts)) {
        Some(url) => portcullis_reply::text(caller, &sign_in::programmatic(context, view, &url)),
        None => portcullis_reply::sign_in_failed(caller, SignInFailure::LinkInvalid, None),
    }
}

/// Whether a credential may be sent to `url`: to the person's own machine if `localhost` is listed, or to another
/// listed host over TLS.
fn may_return(url: &Url, listed: &[std::sync::Arc<str>]) -> bool {
    if !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let host = if loopback { Some("localhost") } else { url.host_str() };
    let named = host.is_some_and(|host| listed.iter().any(|listed| **listed == *host));
    named && (url.scheme() == "https" || (loopback && url.scheme() == "http"))
}

/// Public keys and addresses may be kept for a while.
fn kept(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(KEYS_KEPT));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_this_machine_or_to_a_listed_host_over_tls() {
        let listed = ["cli.corp.test".into(), "localhost".into()];
        let allowed = |text: &str| may_return(&Url::parse(text).unwrap(), &listed);
        assert!(allowed("http://localhost:8000/cb"));
        assert!(allowed("http://127.0.0.1:8000/"));
        assert!(allowed("http://[::1]:8000/"));
        assert!(allowed("https://cli.corp.test/cb"));
        assert!(!allowed("http://cli.corp.test/cb"));
        assert!(!allowed("https://evil.test/"));
        assert!(!allowed("http://localhost.evil.test/"));
        assert!(!allowed("https://user@cli.corp.test/"));
        assert!(!allowed("javascript://localhost/%0aalert(1)"));
        let remote_only = ["cli.corp.test".into()];
        assert!(may_return(&Url::parse("https://cli.corp.test/cb").unwrap(), &remote_only));
        for local in ["http://localhost:8000/", "http://127.0.0.1:8000/", "https://[::1]/"] {
            assert!(!may_return(&Url::parse(local).unwrap(), &remote_only), "{local}");
        }
    }
}
