//! One system as the load sees it: where it listens, what it costs, what it wants from the caller.

use std::io;
use std::net::SocketAddr;

use portcullis_demo::Browser;

use super::system::{CHECKED_HOST, PERSON, Running};

/// The systems that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// The least a proxy on the same engine can do.
    Bare,
    /// The same process once more: what differs between the two is noise.
    BareAgain,
    /// Portcullis, a route for everybody.
    Public,
    /// Portcullis, a route with session, e-mail rule, identity headers, signed assertion and access event.
    Checked,
    /// nginx without a check.
    Nginx,
    /// nginx that asks the cheapest responder.
    NginxResponder,
    /// nginx that asks Apache with mod_auth_openidc.
    NginxSidecar,
    /// nginx that asks oauth2-proxy.
    NginxOauth2Proxy,
    /// Apache as proxy with mod_auth_openidc.
    Apache,
    /// Envoy without a check.
    Envoy,
    /// Envoy that verifies a bearer token.
    EnvoyJwt,
    /// Envoy that asks the cheapest responder.
    EnvoyResponder,
    /// Envoy that asks Apache with mod_auth_openidc.
    EnvoySidecar,
    /// Envoy with its own filters: OAuth2 sign-in, JWT and RBAC.
    EnvoyOwn,
    /// HAProxy without a check.
    Haproxy,
}

impl Name {
    /// As the report has it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Bare => "bare Pingora",
            Self::BareAgain => "bare Pingora, again",
            Self::Public => "Portcullis, public route",
            Self::Checked => "Portcullis, everything on",
            Self::Nginx => "nginx",
            Self::NginxResponder => "nginx + auth_request, cheapest responder",
            Self::NginxSidecar => "nginx + auth_request, mod_auth_openidc",
            Self::NginxOauth2Proxy => "nginx + auth_request, oauth2-proxy",
            Self::Apache => "Apache mod_auth_openidc",
            Self::Envoy => "Envoy",
            Self::EnvoyJwt => "Envoy jwt_authn",
            Self::EnvoyResponder => "Envoy + ext_authz, cheapest responder",
            Self::EnvoySidecar => "Envoy + ext_authz, mod_auth_openidc",
            Self::EnvoyOwn => "Envoy OAuth2 + JWT + RBAC",
            Self::Haproxy => "HAProxy",
        }
    }
}

/// What a caller shows to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing; a cookie of no meaning keeps the requests of all systems alike.
    Nothing,
    /// The cookies of a real sign-in that begins at this path.
    Session(&'static str),
    /// An ID token of the provider as bearer token.
    Token,
}

/// A system that is ready for load.
#[derive(Clone, Debug)]
pub struct Entrant {
    /// Which.
    pub name: Name,
    /// The roots of the process trees that take part.
    pub roots: Vec<u32>,
    /// Where it listens for TLS.
    pub tls: SocketAddr,
    /// Where it listens in the clear, if it does.
    pub plain: Option<SocketAddr>,
    /// The host it is asked for.
    pub host: &'static str,
    /// What it asks for.
    pub credential: Credential,
    /// What it cannot do, with the reason.
    pub lacks: Vec<(super::rows::Work, &'static str)>,
    /// The request headers that show the credential; renewed before it expires.
    pub headers: Vec<(String, String)>,
}

impl Entrant {
    /// A system of one process tree that listens for TLS where its process does.
    #[must_use]
    pub fn new(name: Name, processes: &[&Running], credential: Credential) -> Self {
        let first = processes.first().map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)), |running| running.address);
        Self {
            name,
            roots: processes.iter().map(|running| running.pid()).collect(),
            tls: first,
            plain: None,
            host: CHECKED_HOST,
            credential,
            lacks: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Signs in for real at the given path and answers the cookies as one `Cookie` header.
    ///
    /// # Errors
    /// The sign-in did not end at the system, or left no cookie.
    pub async fn sign_in(&self, authority: &str, path: &str) -> io::Result<(String, String)> {
        let mut browser = Browser::new(authority).map_err(io::Error::other)?;
        let address = format!("https://{}:{}{path}", self.host, self.tls.port());
        let page = browser.sign_in(&address, PERSON).await.map_err(io::Error::other)?;
        let cookies: Vec<String> = browser
            .cookies()
            .filter(|(host, ..)| *host == self.host)
            .map(|(_, name, value)| format!("{name}={value}"))
            .collect();
        if cookies.is_empty() || !page.status.is_success() {
            return Err(io::Error::other(format!("the sign-in ended with {} at {}", page.status, page.url.path())));
        }
        Ok(("cookie".to_owned(), cookies.join("; ")))
    }
}
