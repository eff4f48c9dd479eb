//! The tour's visitor: an HTTP client that keeps cookies, follows redirects and fills in the provider's form.
//!
//! It keeps cookies as RFC 6265bis does as far as the tour goes: by host, with `__Host-` rules enforced, so that a
//! cookie that a real browser would refuse is an error here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderName, Method};
use url::Url;

use super::page::Page;
use crate::loopback::Loopback;

/// Redirects beyond this many are a loop.
const MAX_REDIRECTS: usize = 20;
/// The longest pause in an answer.
const DEADLINE: Duration = Duration::from_secs(20);

/// Why a page did not come.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// No connection, no trust, no answer in time.
    #[error("no answer from {url}")]
    NoAnswer {
        /// What was asked for, without its query: that may hold secrets.
        url: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The redirects do not end.
    #[error("more than {MAX_REDIRECTS} redirects")]
    RedirectLoop,
    /// An address that is none.
    #[error("not an address: {0}")]
    NoAddress(String),
    /// A cookie that a browser refuses.
    #[error("a cookie that a browser refuses: {0}")]
    CookieRefused(String),
    /// The client could not be made.
    #[error("no HTTP client")]
    NoClient(#[source] reqwest::Error),
    /// The provider's form was not where it was expected.
    #[error("no sign-in form at {0}")]
    NoForm(String),
}

/// A visitor with cookies of their own.
#[derive(Clone, Debug)]
pub struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

impl Browser {
    /// A visitor without cookies who trusts this authority (PEM) alone.
    pub fn new(authority: &str) -> Result<Self, BrowserError> {
        let roots = reqwest::Certificate::from_pem_bundle(authority.as_bytes()).map_err(BrowserError::NoClient)?;
        let client = reqwest::Client::builder()
            .tls_certs_only(roots)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Loopback))
            .no_proxy()
            .connect_timeout(DEADLINE)
            .read_timeout(DEADLINE)
            .build()
            .map_err(BrowserError::NoClient)?;
        Ok(Self { client, cookies: BTreeMap::new() })
    }

    /// Opens an address as a person would, and follows the redirects.
    pub async fn open(&mut self, address: &str) -> Result<Page, BrowserError> {
        let url = Url::parse(address).map_err(|_| BrowserError::NoAddress(address.to_owned()))?;
        self.follow(Method::GET, url, None).await
    }

    /// Sends a form from a page of the same origin, and follows the redirects.
    pub async fn submit(&mut self, address: &str, fields: &[(&str, &str)]) -> Result<Page, BrowserError> {
        let url = Url::parse(address).map_err(|_| BrowserError::NoAddress(address.to_owned()))?;
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.follow(Method::POST, url, Some(body)).await
    }

    /// One request as a navigation, no redirect followed; cookies are sent and kept.
    pub async fn step(&mut self, method: Method, url: &Url, form: Option<String>) -> Result<Page, BrowserError> {
        let mut headers = HeaderMap::new();
        let pairs = [
            (ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8"),
            (HeaderName::from_static("sec-fetch-mode"), "navigate"),
            (HeaderName::from_static("sec-fetch-dest"), "document"),
            (HeaderName::from_static("sec-fetch-site"), if form.is_some() { "same-origin" } else { "none" }),
        ];
        headers.extend(pairs.map(|(name, value)| (name, HeaderValue::from_static(value))));
        if form.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            if let Ok(origin) = HeaderValue::from_str(&url.origin().ascii_serialization()) {
                headers.insert(ORIGIN, origin);
            }
        }
        self.send(method, url, headers, form.unwrap_or_default()).await
    }

    /// One request as a program sends it.
    pub async fn call(&mut self, method: Method, address: &str, accept: &'static str) -> Result<Page, BrowserError> {
        let url = Url::parse(address).map_err(|_| BrowserError::NoAddress(address.to_owned()))?;
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        self.send(method, &url, headers, String::new()).await
    }

    /// An answer whose body is read piece by piece: an event stream.
    pub async fn watch(&mut self, address: &str) -> Result<reqwest::Response, BrowserError> {
        let url = Url::parse(address).map_err(|_| BrowserError::NoAddress(address.to_owned()))?;
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/event-stream"))]);
        self.dispatch(Method::GET, &url, headers, String::new()).await
    }

    /// Opens an address, signs in at the demonstration's provider if it asks, and ends where it was meant to.
    pub async fn sign_in(&mut self, address: &str, user: &str) -> Result<Page, BrowserError> {
        let page = self.open(address).await?;
        if !page.text.contains("name=\"password\"") {
            return Err(BrowserError::NoForm(bare(&page.url)));
        }
        // The form goes back to where it came from, query and all.
        let form = page.url.clone();
        let mut landed = self.submit(form.as_str(), &[("username", user), ("password", user)]).await?;
        landed.way.splice(0..0, page.way);
        Ok(landed)
    }

    /// The value of a cookie that is held for a host.
    #[must_use]
    pub fn cookie(&self, host: &str, name: &str) -> Option<&str> {
        self.cookies.get(host)?.get(name).map(String::as_str)
    }

    /// Puts a cookie where it was not sent: what a thief does.
    pub fn plant_cookie(&mut self, host: &str, name: &str, value: &str) {
        self.cookies.entry(host.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
    }

    /// Every cookie held, as (host, name, value).
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let by_host = self.cookies.iter();
        by_host.flat_map(|(host, jar)| jar.iter().map(|(name, value)| (host.as_str(), name.as_str(), value.as_str())))
    }

    async fn follow(&mut self, method: Method, url: Url, form: Option<String>) -> Result<Page, BrowserError> {
        let mut way = vec![url.clone()];
        let mut page = self.step(method, &url, form).await?;
        while page.status.is_redirection() {
            if way.len() > MAX_REDIRECTS {
                return Err(BrowserError::RedirectLoop);
            }
            let location = page.header(LOCATION.as_str()).to_owned();
            let next = page.url.join(&location).map_err(|_| BrowserError::NoAddress(location))?;
            way.push(next.clone());
            page = self.step(Method::GET, &next, None).await?;
        }
        page.way = way;
        Ok(page)
    }

    async fn send(
        &mut self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: String,
    ) -> Result<Page, BrowserError> {
        let answer = self.dispatch(method, url, headers, body).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.map_err(|source| BrowserError::NoAnswer { url: bare(url), source })?;
        Ok(Page { url: url.clone(), status, headers, text, way: vec![url.clone()] })
    }

    async fn dispatch(
        &mut self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: String,
    ) -> Result<reqwest::Response, BrowserError> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let jar = self.cookies.get(&host);
        let held: Vec<String> = jar.into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
        if let Ok(value) = HeaderValue::from_str(&held.join("; "))
            && !held.is_empty()
        {
            headers.insert(COOKIE, value);
        }
        let request = self.client.request(method, url.clone()).headers(headers).body(body);
        let answer = request.send().await.map_err(|source| BrowserError::NoAnswer { url: bare(url), source })?;
        for line in answer.headers().get_all(SET_COOKIE) {
            self.keep(&host, line.to_str().unwrap_or_default())?;
        }
        Ok(answer)
    }

    fn keep(&mut self, host: &str, line: &str) -> Result<(), BrowserError> {
        let mut parts = line.split(';').map(str::trim);
        let pair = parts.next().and_then(|pair| pair.split_once('='));
        let (name, value) = pair.ok_or_else(|| BrowserError::CookieRefused("no name".to_owned()))?;
        let attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        let has = |wanted: &str| attributes.iter().any(|attribute| attribute == wanted);
        let domain = attributes.iter().any(|attribute| attribute.starts_with("domain="));
        if name.starts_with("__Host-") && (domain || !has("secure") || !has("path=/")) {
            return Err(BrowserError::CookieRefused(name.to_owned()));
        }
        let jar = self.cookies.entry(host.to_owned()).or_default();
        let gone = has("max-age=0") || attributes.iter().any(|one| one.starts_with("expires=thu, 01 jan 1970"));
        if gone {
            jar.remove(name);
        } else {
            jar.insert(name.to_owned(), value.to_owned());
        }
        Ok(())
    }
}

/// An address without its query, which may hold secrets.
fn bare(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.to_string()
}

#[cfg(test)]
mod tests;
