//! The sign-in host, and the names of what Portcullis puts on hosts.

use std::sync::Arc;

use url::Url;

use super::{Build, host};
use crate::field::Field;
use crate::model::{Cookie, Namespace, SameSite, SignIn};
use crate::report::Fault;
use crate::schema::{CookieSection, NamespaceName, SameSiteName, SignInSection};

/// The prefix that makes a browser keep a cookie to its host (RFC 6265bis, section 4.1.3.2).
const HOST_PREFIX: &str = "__Host-";

/// What stands for the addresses of the machine that a program runs on.
const LOOPBACK: &str = "localhost";

/// The sign-in host; empty where the file names none.
pub(crate) fn sign_in(
    build: &mut Build<'_>,
    section: SignInSection,
    cookie: CookieSection,
    namespace: NamespaceName,
) -> SignIn {
    let SignInSection { host, signed_out_url, programmatic_hosts } = section;
    let at = Field::Root.key("sign_in");
    let namespace = match namespace {
        NamespaceName::Portcullis => Namespace::Portcullis,
        NamespaceName::Pomerium => Namespace::Pomerium,
    };
    let host = host.and_then(|host| build.report.take(&at.key("host"), host::canonical(&host)));
    let signed_out_url = signed_out_url.and_then(|url| build.report.take(&at.key("signed_out_url"), web_url(&url)));
    let list = at.key("programmatic_hosts");
    let mut hosts = Vec::new();
    let programmatic_hosts = programmatic_hosts.unwrap_or_else(|| vec![LOOPBACK.to_owned()]);
    for (index, host) in programmatic_hosts.iter().enumerate() {
        hosts.extend(build.report.take(&list.index(index), host::canonical(host)));
    }
    if namespace == Namespace::Pomerium {
        let lost = "`namespace: pomerium` gives up the `__Host-` prefix of cookies: a neighbouring host of the same domain can then plant them";
        build.report.warn(
            &Field::Root.key("namespace"),
            lost,
            Some("go back to `portcullis` once nothing depends on the old names"),
        );
    }
    SignIn {
        host: host.unwrap_or_else(|| Arc::from("")),
        cookie: self::cookie(build, cookie, namespace),
        namespace,
        signed_out_url,
        programmatic_hosts: hosts,
    }
}

/// An absolute http or https URL without a user.
fn web_url(text: &str) -> Result<Url, Fault> {
    let url = Url::parse(text).map_err(|_error| Fault::new(format!("`{text}` is not a URL")))?;
    let fits = matches!(url.scheme(), "https" | "http") && url.has_host() && url.username().is_empty();
    if fits && url.password().is_none() { Ok(url) } else { Err(Fault::new(format!("`{text}` is not a web address"))) }
}

fn cookie(build: &mut Build<'_>, section: CookieSection, namespace: Namespace) -> Cookie {
    let CookieSection { name, domain, same_site } = section;
    let at = Field::Root.key("cookie");
    let (usual, bind_suffix) = match namespace {
        Namespace::Portcullis => ("__Host-portcullis", "-bind"),
        Namespace::Pomerium => ("_pomerium", "_csrf"),
    };
    let name = name.and_then(|name| build.report.take(&at.key("name"), cookie_name(name, namespace)));
    let name = name.unwrap_or_else(|| usual.to_owned());
    let domain = domain.and_then(|domain| build.report.take(&at.key("domain"), cookie_domain(&domain, namespace)));
    if domain.is_some() {
        let message = "every host of this domain receives the session cookie, whoever runs it";
        build.report.warn(&at.key("domain"), message, None);
    }
    let same_site = match same_site {
        SameSiteName::Lax => SameSite::Lax,
        SameSiteName::Strict => {
            let message = "`strict` keeps the cookie from links on other sites: whoever follows one signs in again";
            build.report.warn(&at.key("same_site"), message, None);
            SameSite::Strict
        }
        SameSiteName::None => {
            let message = "`none` sends the cookie with requests that other sites cause";
            build.report.warn(&at.key("same_site"), message, Some("`lax` protects against cross-site request forgery"));
            SameSite::None
        }
    };
    Cookie { bind_name: format!("{name}{bind_suffix}").into(), name: name.into(), domain, same_site }
}

/// A token of RFC 9110; in our own namespace with the prefix that keeps it to its host.
fn cookie_name(name: String, namespace: Namespace) -> Result<String, Fault> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(token) {
        return Err(Fault::new(format!("`{name}` is not the name of a cookie")));
    }
    let bare = name.strip_prefix(HOST_PREFIX).unwrap_or_default();
    match namespace {
        Namespace::Portcullis if bare.is_empty() => {
            let help = format!("write {HOST_PREFIX}{name}; only `namespace: pomerium` goes without");
            Err(Fault::new(format!("the name must begin with `{HOST_PREFIX}`")).help(help))
        }
        Namespace::Portcullis | Namespace::Pomerium => Ok(name),
    }
}

fn cookie_domain(domain: &str, namespace: Namespace) -> Result<Arc<str>, Fault> {
    match namespace {
        Namespace::Portcullis => {
            Err(Fault::new("our cookies belong to one host each")
                .help("`domain` works only with `namespace: pomerium`"))
        }
        Namespace::Pomerium => {
            let host = host::canonical(domain.strip_prefix('.').unwrap_or(domain))?;
            if host.contains('.') {
                Ok(host)
            } else {
                Err(Fault::new(format!("`{domain}` has only one label, which browsers refuse")))
            }
        }
    }
}
