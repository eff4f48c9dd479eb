//! The endpoints that relying parties call themselves: token, userinfo, revocation.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::authorize::seconds;
use super::ledger::{Family, Grant};
use super::{House, unguessable};
use crate::site::{Answer, Fields, json, set};

/// How long access and ID tokens live.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// An error of RFC 6749 5.2.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    code: &'static str,
    reason: String,
}

impl Refused {
    fn new(code: &'static str, reason: impl Into<String>) -> Self {
        let status = if code == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        Self { status, code, reason: reason.into() }
    }

    fn into_answer(self) -> Answer {
        let Self { status, code, reason } = self;
        let mut answer = json(status, &json!({ "error": code, "error_description": reason }));
        if status == StatusCode::UNAUTHORIZED {
            set(&mut answer, WWW_AUTHENTICATE, "Basic realm=\"provider\"");
        }
        answer
    }
}

impl House {
    pub(super) async fn token(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let headers = request.headers().clone();
        let Ok(form) = Fields::of_body(request).await else {
            return Refused::new("invalid_request", "no form").into_answer();
        };
        let answered = self.authenticate(&headers, &form).and_then(|client| match form.first("grant_type") {
            Some("authorization_code") => self.exchange(&client, &form),
            Some("refresh_token") => self.refresh(&client, &form),
            Some(_) => Err(Refused::new("unsupported_grant_type", "authorization_code or refresh_token")),
            None => Err(Refused::new("invalid_request", "grant_type is missing")),
        });
        answered.unwrap_or_else(Refused::into_answer)
    }

    /// Which client calls: HTTP Basic or form fields, never both (RFC 6749 2.3).
    fn authenticate(&self, headers: &HeaderMap, form: &Fields) -> Result<String, Refused> {
        let basic = headers.get(AUTHORIZATION).map(|value| basic_credentials(value.as_bytes()));
        let (id, secret) = match (basic, form.first("client_secret")) {
            (Some(_), Some(_)) => return Err(Refused::new("invalid_request", "two ways of client authentication")),
            (Some(Some(pair)), None) => pair,
            (Some(None), None) => return Err(Refused::new("invalid_client", "no HTTP Basic credentials")),
            (None, secret) => {
                (form.first("client_id").unwrap_or_default().to_owned(), secret.unwrap_or_default().to_owned())
            }
        };
        let known = self
            .client(&id)
            .filter(|client| verify_slices_are_equal(client.secret.as_bytes(), secret.as_bytes()).is_ok());
        known.map(|client| client.id.clone()).ok_or_else(|| Refused::new("invalid_client", "wrong id or secret"))
    }

    fn exchange(&self, client: &str, form: &Fields) -> Result<Answer, Refused> {
        let code = form.first("code").ok_or_else(|| Refused::new("invalid_request", "code is missing"))?;
        let now = self.clock.now();
        let mut ledger = self.ledger();
        // The bindings come before the code is spent: who merely saw it can neither use nor burn it.
        let verifier = form.first("code_verifier").unwrap_or_default();
        let hashed = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let bound = ledger.peek_code(code).is_some_and(|grant| {
            grant.client == client
                && form.first("redirect_uri") == Some(&grant.redirect_uri)
                && (43..=128).contains(&verifier.len())
                && hashed == grant.challenge
        });
        if !bound {
            return Err(Refused::new(
                "invalid_grant",
                "code, client, redirect_uri and code_verifier do not go together",
            ));
        }
        let (family, grant) =
            ledger.spend_code(code, now).map_err(|error| Refused::new("invalid_grant", error.to_string()))?;
        drop(ledger);
        self.tokens(family, grant)
    }

    fn refresh(&self, client: &str, form: &Fields) -> Result<Answer, Refused> {
        let token = form.first("refresh_token").unwrap_or_default();
        let mut ledger = self.ledger();
        if ledger.owner(token) != Some(client) {
            return Err(Refused::new("invalid_grant", "unknown refresh token"));
        }
        let (family, grant) =
            ledger.spend_refresh(token).map_err(|error| Refused::new("invalid_grant", error.to_string()))?;
        drop(ledger);
        self.tokens(family, Grant { nonce: None, ..grant })
    }

    fn tokens(&self, family: Family, grant: Grant) -> Result<Answer, Refused> {
        let broken = |_| Refused::new("server_error", "no randomness");
        let (access, refresh) = (unguessable().map_err(broken)?, unguessable().map_err(broken)?);
        let id_token = self.id_token(&grant, &access)?;
        let scope = grant.scope.clone();
        let mut ledger = self.ledger();
        ledger.note(&id_token);
        ledger.give_access(access.clone(), family, grant.clone(), self.clock.now().saturating_add(TOKEN_LIFE));
        ledger.give_refresh(refresh.clone(), family, grant);
        drop(ledger);
        Ok(json(
            StatusCode::OK,
            &json!({
                "access_token": access, "token_type": "Bearer", "expires_in": TOKEN_LIFE.as_secs(),
                "refresh_token": refresh, "id_token": id_token, "scope": scope,
            }),
        ))
    }

    /// The ID token (OpenID Connect Core 2, 3.1.3.6).
    fn id_token(&self, grant: &Grant, access: &str) -> Result<String, Refused> {
        let session = &grant.session;
        let person = self.person(&session.subject);
        let person = person.ok_or_else(|| Refused::new("invalid_grant", "the account is closed"))?;
        let now = self.clock.now();
        let hash = digest(&SHA256, access.as_bytes());
        let half = hash.as_ref().split_at_checked(16).map(|(left, _)| left).unwrap_or_default();
        let mut claims = claims_in(&grant.scope, person.claims);
        let standard = [
            ("iss", Value::from(self.issuer.as_str())),
            ("sub", Value::from(session.subject.as_str())),
            ("aud", Value::from(grant.client.as_str())),
            ("iat", seconds(now)),
            ("exp", seconds(now.saturating_add(TOKEN_LIFE))),
            ("auth_time", seconds(session.authenticated_at)),
            ("acr", Value::from("urn:portcullis:demo:password")),
            ("amr", json!(["pwd"])),
            ("sid", Value::from(session.id.as_str())),
            ("at_hash", Value::from(URL_SAFE_NO_PAD.encode(half))),
        ];
        claims.extend(standard.map(|(name, value)| (name.to_owned(), value)));
        if let Some(nonce) = &grant.nonce {
            claims.insert("nonce".to_owned(), Value::from(nonce.as_str()));
        }
        self.keys().sign(&claims).ok_or_else(|| Refused::new("server_error", "the token could not be signed"))
    }

    pub(super) fn userinfo(&self, request: &Request<Incoming>) -> Answer {
        let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        let grant = self.ledger().access(token, self.clock.now()).map(|token| token.grant.clone());
        let person = grant.and_then(|grant| Some((self.person(&grant.session.subject)?, grant)));
        let Some((person, grant)) = person else {
            let mut answer = json(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_token" }));
            set(&mut answer, WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"");
            return answer;
        };
        let mut claims = claims_in(&grant.scope, person.claims);
        claims.insert("sub".to_owned(), Value::from(person.subject));
        json(StatusCode::OK, &Value::Object(claims))
    }

    pub(super) async fn revoke(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let headers = request.headers().clone();
        let Ok(form) = Fields::of_body(request).await else {
            return Refused::new("invalid_request", "no form").into_answer();
        };
        match self.authenticate(&headers, &form) {
            Ok(client) => {
                let token = form.first("token").unwrap_or_default();
                let mut ledger = self.ledger();
                if ledger.owner(token) == Some(client.as_str()) {
                    ledger.revoke_token(token);
                }
                json(StatusCode::OK, &json!({}))
            }
            Err(refused) => refused.into_answer(),
        }
    }
}

/// The claims that a scope asks for (OpenID Connect Core 5.4); custom ones come with `profile`.
fn claims_in(scope: &str, claims: Map<String, Value>) -> Map<String, Value> {
    let asked = |wanted: &str| scope.split(' ').any(|one| one == wanted);
    let kept = claims.into_iter().filter(|(name, _)| match name.as_str() {
        "email" | "email_verified" => asked("email"),
        // As many providers do: groups come with either.
        "groups" => asked("groups") || asked("profile"),
        _ => asked("profile"),
    });
    kept.collect()
}

/// Id and secret of HTTP Basic, each form-encoded first (RFC 6749 2.3.1).
fn basic_credentials(value: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(value).ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    let plain = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = plain.split_once(':')?;
    let decode = |text: &str| {
        // One name without a value is how a lone form-encoded word reads.
        let mut words = url::form_urlencoded::parse(text.as_bytes());
        words.next().map(|(word, _)| word.into_owned()).unwrap_or_default()
    };
    scheme.eq_ignore_ascii_case("basic").then(|| (decode(id), decode(secret)))
}
