//! The end-session endpoint (OpenID Connect RP-Initiated Logout 1.0).

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::Value;
use url::Url;

use super::authorize::{cookie, forget_cookie};
use super::{House, pages};
use crate::site::{Answer, Fields, see_other, set};

impl House {
    pub(super) async fn logout(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let held = cookie(request.headers()).map(str::to_owned);
        let posted = request.method() == Method::POST;
        let query = Fields::of_query(&request);
        let form = if posted { Fields::of_body(request).await.unwrap_or_default() } else { Fields::default() };
        let field = |name: &str| form.first(name).or_else(|| query.first(name));
        let hint = field("id_token_hint").and_then(|token| self.keys().recognise(token));
        let confirmed = posted && form.first("confirm") == Some("yes");
        if hint.is_none() && !confirmed {
            // Section 2: without proof that the client speaks for this browser, ask.
            return pages::confirm_sign_out();
        }
        let text = |name: &str| hint.as_ref().and_then(|claims| claims.get(name)).and_then(Value::as_str);
        if let Some(sid) = text("sid") {
            self.ledger().close_session(sid);
        }
        if let Some(cookie) = held {
            self.ledger().forget_cookie(&cookie);
        }
        let mut answer = self.after_logout(text("aud"), field("post_logout_redirect_uri"), field("state"));
        set(&mut answer, SET_COOKIE, &forget_cookie());
        answer
    }

    /// Back to the client, if the address is registered for the one the hint was issued to; else a page.
    fn after_logout(&self, client: Option<&str>, wanted: Option<&str>, state: Option<&str>) -> Answer {
        let registered = client.and_then(|id| self.client(id)).map(|client| &client.post_logout_redirect_uris);
        let allowed = wanted.filter(|uri| registered.is_some_and(|known| known.iter().any(|one| one == uri)));
        match allowed.map(Url::parse) {
            Some(Ok(mut location)) => {
                if let Some(state) = state {
                    location.query_pairs_mut().append_pair("state", state);
                }
                see_other(location.as_str())
            }
            Some(Err(_)) | None if wanted.is_some() => pages::problem(
                StatusCode::BAD_REQUEST,
                "You are signed out. The address to return to is not registered.",
            ),
            Some(Err(_)) | None => pages::signed_out(),
        }
    }
}
