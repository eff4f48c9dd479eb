//! The authorization endpoint (OpenID Connect Core 3.1.2) and the sign-in form in one.

use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE, HeaderMap, ORIGIN, SET_COOKIE};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use portcullis_identity::Timestamp;
use url::Url;

use super::ledger::{BrowserSession, Grant};
use super::pages::SignInForm;
use super::{House, Person, pages, unguessable};
use crate::site::{Answer, Fields, see_other, set};

/// Cookies know no ports: the name must not meet those of other programs on loopback.
const COOKIE_NAME: &str = "portcullis_demo_provider";

/// A request that names a known client and one of its addresses: from here on errors go there.
#[derive(Debug)]
struct Asked {
    client: String,
    redirect_uri: String,
    state: Option<String>,
    query: String,
}

impl Asked {
    fn form<'a>(&'a self, user: &'a str, people: &'a [Person]) -> SignInForm<'a> {
        SignInForm { client: &self.client, query: &self.query, user, people }
    }
}

/// A request with nothing wrong with it.
#[derive(Debug)]
struct Wanted {
    scope: String,
    challenge: String,
    nonce: Option<String>,
    prompt: Prompt,
    max_age: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prompt {
    WhenNeeded,
    Never,
    Always,
}

impl House {
    pub(super) async fn authorize(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let query = Fields::of_query(&request);
        let asked = match self.asked(&query, request.uri().query().unwrap_or_default()) {
            Ok(asked) => asked,
            Err(reason) => return pages::problem(StatusCode::BAD_REQUEST, reason),
        };
        let wanted = match wanted(&query) {
            Ok(wanted) => wanted,
            Err((code, reason)) => return self.redirect_error(&asked, code, reason),
        };
        if request.method() == Method::POST {
            return self.sign_in(request, &asked, &wanted).await;
        }
        let live = cookie(request.headers()).and_then(|cookie| self.ledger().session(cookie).cloned());
        let now = self.clock.now();
        let fresh = |session: &BrowserSession| {
            wanted.max_age.is_none_or(|age| now.since(session.authenticated_at) < age)
                && self.person(&session.subject).is_some()
        };
        match (live.filter(fresh), wanted.prompt) {
            (Some(session), Prompt::WhenNeeded | Prompt::Never) => self.grant(&asked, &wanted, session),
            (None, Prompt::Never) => self.redirect_error(&asked, "login_required", "nobody is signed in"),
            (Some(_) | None, Prompt::Always) | (None, Prompt::WhenNeeded) => {
                let hint = query.first("login_hint").unwrap_or_default();
                asked.form(hint, &self.people()).first()
            }
        }
    }

    /// Who asks, and whether an answer may go where it says (RFC 6749 4.1.2.1: else no redirect at all).
    fn asked(&self, query: &Fields, raw: &str) -> Result<Asked, &'static str> {
        if query.repeats() {
            return Err("A parameter of the request occurs twice.");
        }
        let client = query.first("client_id").and_then(|id| self.client(id));
        let client = client.ok_or("This provider does not know the application that sent you.")?;
        let redirect_uri = query.first("redirect_uri").unwrap_or_default();
        if !client.redirect_uris.iter().any(|known| known == redirect_uri) {
            return Err("The application wants the answer at an address that is not registered for it.");
        }
        Ok(Asked {
            client: client.id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            state: query.first("state").map(str::to_owned),
            query: raw.to_owned(),
        })
    }

    async fn sign_in(self: Arc<Self>, request: Request<Incoming>, asked: &Asked, wanted: &Wanted) -> Answer {
        // A form of another origin could sign somebody in as somebody else.
        let foreign = request.headers().get(ORIGIN).is_some_and(|origin| origin.as_bytes() != self.issuer.as_bytes());
        if foreign {
            return pages::problem(StatusCode::FORBIDDEN, "This form was sent by another site.");
        }
        let Ok(form) = Fields::of_body(request).await else {
            return pages::problem(StatusCode::BAD_REQUEST, "The form could not be read.");
        };
        let (user, password) = (form.first("username").unwrap_or_default(), form.first("password").unwrap_or_default());
        let person = self.person(user).filter(|person| person.subject == password);
        let (Some(person), Ok(cookie), Ok(id)) = (person, unguessable(), unguessable()) else {
            return asked.form(user, &self.people()).again();
        };
        let session = BrowserSession { id, subject: person.subject, authenticated_at: self.clock.now() };
        self.ledger().open_session(cookie.clone(), session.clone());
        let mut answer = self.grant(asked, wanted, session);
        set(&mut answer, SET_COOKIE, &format!("{COOKIE_NAME}={cookie}; Path=/; HttpOnly; SameSite=Lax"));
        answer
    }

    fn grant(&self, asked: &Asked, wanted: &Wanted, session: BrowserSession) -> Answer {
        let Ok(code) = unguessable() else {
            return self.redirect_error(asked, "server_error", "no randomness");
        };
        let grant = Grant {
            client: asked.client.clone(),
            redirect_uri: asked.redirect_uri.clone(),
            challenge: wanted.challenge.clone(),
            nonce: wanted.nonce.clone(),
            scope: wanted.scope.clone(),
            session,
        };
        self.ledger().give_code(code.clone(), grant, self.clock.now());
        self.redirect(asked, &[("code", &code)])
    }

    fn redirect_error(&self, asked: &Asked, code: &str, reason: &str) -> Answer {
        self.redirect(asked, &[("error", code), ("error_description", reason)])
    }

    /// Back to the client, always with `iss` (RFC 9207 2).
    fn redirect(&self, asked: &Asked, parameters: &[(&str, &str)]) -> Answer {
        let Ok(mut location) = Url::parse(&asked.redirect_uri) else {
            return pages::problem(StatusCode::INTERNAL_SERVER_ERROR, "The registered address is no URL.");
        };
        location
            .query_pairs_mut()
            .extend_pairs(parameters)
            .extend_pairs(asked.state.iter().map(|state| ("state", state)))
            .append_pair("iss", &self.issuer);
        see_other(location.as_str())
    }
}

fn wanted(query: &Fields) -> Result<Wanted, (&'static str, &'static str)> {
    if query.first("response_type") != Some("code") {
        return Err(("unsupported_response_type", "only code"));
    }
    if query.first("request").is_some() || query.first("request_uri").is_some() {
        return Err(("request_not_supported", "no request objects"));
    }
    let scope = query.first("scope").unwrap_or_default();
    if !scope.split(' ').any(|one| one == "openid") {
        return Err(("invalid_scope", "openid is missing"));
    }
    let challenge = query.first("code_challenge").unwrap_or_default();
    // RFC 9700 2.1.1: PKCE for everybody, and only S256. The challenge is 32 bytes in base64url.
    if query.first("code_challenge_method") != Some("S256") || challenge.len() != 43 {
        return Err(("invalid_request", "PKCE with S256 is required"));
    }
    let prompt = match query.first("prompt") {
        None | Some("consent") => Prompt::WhenNeeded,
        Some("none") => Prompt::Never,
        Some("login" | "select_account" | "select_account consent" | "login consent") => Prompt::Always,
        Some(_) => return Err(("invalid_request", "unknown prompt")),
    };
    let max_age = match query.first("max_age").map(str::parse) {
        None => None,
        Some(Ok(seconds)) => Some(Duration::from_secs(seconds)),
        Some(Err(_)) => return Err(("invalid_request", "max_age is no number of seconds")),
    };
    let nonce = query.first("nonce").map(str::to_owned);
    Ok(Wanted { scope: scope.to_owned(), challenge: challenge.to_owned(), nonce, prompt, max_age })
}

/// The value of the session cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

/// The `Set-Cookie` that forgets the session.
pub(super) fn forget_cookie() -> String {
    format!("{COOKIE_NAME}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// Seconds since 1970, as JWTs have them.
pub(super) fn seconds(time: Timestamp) -> serde_json::Value {
    serde_json::Value::from(time.unix_seconds())
}
