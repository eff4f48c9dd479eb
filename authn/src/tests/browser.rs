//! A browser as the sign-in host sees it through the proxy: a cookie jar and no more.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use url::Url;

use super::store::Store;
use crate::Authn;

#[derive(Clone)]
pub(super) struct Browser {
    authn: Authn<Store>,
    pub(super) jar: BTreeMap<String, String>,
}

/// An answer, with what tests ask of it.
#[derive(Debug)]
pub(super) struct Got(pub(super) Response<Bytes>);

impl Browser {
    pub(super) fn new(authn: Authn<Store>) -> Self {
        Self { authn, jar: BTreeMap::new() }
    }

    pub(super) async fn get(&mut self, path: &str) -> Got {
        self.send("GET", path, &[]).await
    }

    pub(super) async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Got {
        let cookies = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("cookie", cookies)
            .header("x-forwarded-host", "auth.corp.test")
            .header("x-forwarded-for", "192.0.2.7")
            .header("x-request-id", "req-1");
        let names_accept = headers.iter().any(|(name, _)| *name == "accept");
        if !names_accept {
            request = request.header("accept", "text/html");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.authn.answer(request.body(Full::new(Bytes::new())).unwrap()).await;
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        for line in answer.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            assert!(line.contains("; Secure; HttpOnly; SameSite=Lax") && line.contains("; Path=/"), "{line}");
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        Got(answer)
    }

    pub(super) fn session_cookie(&self) -> Option<&String> {
        self.jar.get("__Host-portcullis")
    }
}

impl Got {
    pub(super) fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    pub(super) fn body(&self) -> &str {
        std::str::from_utf8(self.0.body()).unwrap()
    }

    pub(super) fn location_text(&self) -> String {
        let location = self.0.headers().get("location");
        location.unwrap_or_else(|| panic!("{} {}", self.status(), self.body())).to_str().unwrap().to_owned()
    }

    pub(super) fn location(&self) -> Url {
        Url::parse("https://auth.corp.test").unwrap().join(&self.location_text()).unwrap()
    }

    pub(super) fn is_redirect(&self) -> bool {
        self.0.headers().contains_key("location")
    }
}

/// What the proxy passes on of an address of the sign-in host.
pub(super) fn path(url: &Url) -> String {
    assert_eq!(url.host_str(), Some("auth.corp.test"));
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}
