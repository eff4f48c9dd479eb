//! From a callback to an identity: the code exchange (RFC 6749, 4.1.3; OpenID Connect Core 3.1.3).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use portcullis_config::ClientAuth;
use portcullis_identity::{Groups, Needs, Principal, SecretText, Timestamp};
use serde::Deserialize;
use url::form_urlencoded;

use crate::discovery::Known;
use crate::error::{ExchangeError, OauthErrorCode, SafeText};
use crate::settings::Client;

/// What came back from the provider, and what was sent there.
#[derive(Clone, Copy)]
pub struct Callback<'a> {
    /// The authorization code; single use.
    pub code: &'a str,
    /// The response's `iss` (RFC 9207), if it had one.
    pub iss: Option<&'a str>,
    /// The PKCE verifier of this sign-in (RFC 7636): 43 to 128 unreserved characters.
    pub verifier: &'a str,
    /// The nonce of this sign-in.
    pub nonce: &'a str,
    /// What the sign-in was asked to give.
    pub needs: &'a Needs,
}

impl std::fmt::Debug for Callback<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callback").field("iss", &self.iss).field("needs", &self.needs).finish_non_exhaustive()
    }
}

/// Who signed in, as their provider tells it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Issuer and subject.
    pub principal: Principal,
    /// The provider's own session id (`sid`).
    pub provider_session: Option<Arc<str>>,
    /// `auth_time`, else the time of the exchange; never in the future.
    pub authenticated_at: Timestamp,
    /// The authentication context class.
    pub acr: Option<Arc<str>>,
    /// All claims as one JSON object of at most [`MAX_CLAIMS_BYTES`](portcullis_identity::MAX_CLAIMS_BYTES).
    pub claims_json: String,
    /// The e-mail address; empty if there is none.
    pub email: Arc<str>,
    /// The display name; empty if there is none.
    pub name: Arc<str>,
    /// The groups; `None` if the provider says nothing of groups.
    pub groups: Option<Groups>,
    /// The provider's tokens, for the broker only.
    pub tokens: Tokens,
}

/// The tokens of one sign-in.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// For the provider's own interfaces.
    pub access_token: SecretText,
    /// For new access tokens, if the provider gave one.
    pub refresh_token: Option<SecretText>,
    /// The checked ID token; the hint of a sign-out.
    pub id_token: SecretText,
    /// When the access token ends, if the provider says so.
    pub expires_at: Option<Timestamp>,
}

/// RFC 9207: compare iss before the code is spent.
pub(crate) fn check_issuer(callback: &Callback<'_>, known: &Known) -> Result<(), ExchangeError> {
    match callback.iss {
        Some(iss) if iss == known.metadata.issuer => Ok(()),
        Some(_) => Err(ExchangeError::IssuerMismatch),
        None if known.metadata.names_issuer => Err(ExchangeError::IssuerMissing),
        None => Ok(()),
    }
}

/// The token endpoint's good answer.
pub(crate) struct TokenAnswer {
    pub(crate) access_token: SecretText,
    pub(crate) refresh_token: Option<SecretText>,
    pub(crate) id_token: Option<SecretText>,
    pub(crate) expires_in: Option<Duration>,
}

/// A form for an endpoint that knows us as a client (RFC 6749, 2.3.1).
pub(crate) fn client_request(
    endpoint: &url::Url,
    client: &Client,
    preferred: ClientAuth,
    fields: &[(&str, &str)],
) -> Result<http::Request<Vec<u8>>, crate::CallError> {
    let unwritable = |_: http::Error| crate::CallError::NotARequest;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    let mut request = http::Request::post(endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    match (&client.secret, client.auth.unwrap_or(preferred)) {
        (None, _) => {
            form.append_pair("client_id", &client.id);
        }
        (Some(secret), ClientAuth::Post) => {
            form.append_pair("client_id", &client.id).append_pair("client_secret", secret.expose());
        }
        (Some(secret), ClientAuth::Basic) => {
            // RFC 6749, 2.3.1: id and secret are form-encoded before they become user and password.
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(&client.id), encoded(secret.expose()));
            let mut basic = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair)))
                .map_err(|_unwritable| crate::CallError::NotARequest)?;
            basic.set_sensitive(true);
            request = request.header(AUTHORIZATION, basic);
        }
    }
    request.body(form.finish().into_bytes()).map_err(unwritable)
}

/// Reads the token endpoint's answer, good or bad.
pub(crate) fn read_token_answer(answer: &http::Response<Vec<u8>>) -> Result<TokenAnswer, ExchangeError> {
    #[derive(Deserialize)]
    struct Good {
        access_token: String,
        token_type: String,
        refresh_token: Option<String>,
        id_token: Option<String>,
        expires_in: Option<serde_json::Value>,
    }
    if !answer.status().is_success() {
        return Err(refusal(answer));
    }
    let Good { access_token, token_type, refresh_token, id_token, expires_in } =
        serde_json::from_slice(answer.body()).map_err(|_unreadable| ExchangeError::MalformedTokens)?;
    if !token_type.eq_ignore_ascii_case("bearer") {
        return Err(ExchangeError::TokenType);
    }
    Ok(TokenAnswer {
        access_token: SecretText::new(access_token),
        refresh_token: refresh_token.filter(|token| !token.is_empty()).map(SecretText::new),
        id_token: id_token.map(SecretText::new),
        expires_in: expires_in.map(|value| seconds(&value)).transpose()?,
    })
}

fn refusal(answer: &http::Response<Vec<u8>>) -> ExchangeError {
    #[derive(Deserialize)]
    struct Bad {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    match serde_json::from_slice(answer.body()) {
        Ok(Bad { error, error_description }) => ExchangeError::Refused {
            code: OauthErrorCode::parse(&error),
            description: SafeText::new(&error_description),
        },
        Err(_unreadable) => ExchangeError::Status { status: answer.status().as_u16() },
    }
}

/// `expires_in` as a number, or as the digits some providers send; unreadable is not the same as absent.
fn seconds(value: &serde_json::Value) -> Result<Duration, ExchangeError> {
    let whole = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    let fraction = || value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    whole.map(Duration::from_secs).or_else(fraction).ok_or(ExchangeError::MalformedTokens)
}
