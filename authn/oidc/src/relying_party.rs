//! One configured provider, and everything we say to it.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::{PkceCodeChallenge, PkceCodeVerifier};
use portcullis_config::Provider;
use portcullis_identity::{Clock, Needs, Principal, ProviderName};
use tokio::time::timeout;
use url::Url;

use crate::claims::{Mapped, RawClaims, map};
use crate::discovery::{Discovery, Known};
use crate::error::{DiscoveryError, ExchangeError, RevokeError, SetupError};
use crate::exchange::{Callback, Identity, TokenAnswer, Tokens, check_issuer, client_request, read_token_answer};
use crate::id_token::{Checked, Expected, check};
use crate::observe::{Call, CallObserver, ProviderStatus};
use crate::refresh::{self, Held, RefreshError, Refreshed, RefreshedFacts, RefreshedTokens, of_answer};
use crate::settings::Settings;
use crate::transport::Transport;
use crate::userinfo;

/// Parameters of the authorization request that configuration cannot set: they are what makes it safe.
const OWN_PARAMETERS: [&str; 12] = [
    "acr_values",
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "login_hint",
    "max_age",
    "nonce",
    "redirect_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// How long a refresh may take before the token endpoint is asked, and again after it has answered.
const REFRESH_STAGE: Duration = Duration::from_secs(300);

/// What one sign-in sends to the provider.
#[derive(Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// Comes back as it is.
    pub state: &'a str,
    /// Comes back inside the ID token.
    pub nonce: &'a str,
    /// The PKCE verifier (RFC 7636): 43 to 128 unreserved characters. Only its digest is sent.
    pub verifier: &'a str,
    /// What the sign-in must give: `max_age`, `acr_values`.
    pub needs: &'a Needs,
    /// Whether the person is asked to choose an account (`prompt=select_account`).
    pub account: Account,
    /// Whom we expect, if we know.
    pub login_hint: Option<&'a str>,
}

/// Which account the person may sign in with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// The one they have at the provider now.
    #[default]
    Present,
    /// They are asked.
    Chosen,
}

impl std::fmt::Debug for AuthorizationRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorizationRequest").field("needs", &self.needs).finish_non_exhaustive()
    }
}

/// What a sign-out sends to the provider (OpenID Connect RP-Initiated Logout 1.0).
#[derive(Clone, Copy)]
pub struct LogoutRequest<'a> {
    /// The session's ID token.
    pub id_token_hint: Option<&'a str>,
    /// Where the browser comes back to; must be registered at the provider.
    pub post_logout_redirect_uri: &'a Url,
    /// Comes back as it is.
    pub state: Option<&'a str>,
}

impl std::fmt::Debug for LogoutRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogoutRequest")
            .field("post_logout_redirect_uri", &self.post_logout_redirect_uri.as_str())
            .finish_non_exhaustive()
    }
}

/// Our side of one OpenID Provider. Cheap to make: nothing is fetched before it is needed.
#[derive(Debug)]
pub struct RelyingParty {
    settings: Settings,
    transport: Transport,
    discovery: Discovery,
    clock: Arc<dyn Clock>,
}

impl RelyingParty {
    /// A relying party for `provider`, which sends browsers back to `redirect_uri`.
    ///
    /// # Errors
    /// If the HTTP client cannot be built from the provider's transport settings.
    pub fn new(
        provider: &Provider,
        redirect_uri: Url,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn CallObserver>,
    ) -> Result<Self, SetupError> {
        let settings = Settings::of(provider, redirect_uri);
        Ok(Self {
            transport: Transport::new(&settings, Arc::clone(&clock), observer)?,
            discovery: Discovery::new(settings.issuer.clone(), Arc::clone(&clock)),
            settings,
            clock,
        })
    }

    /// Where to send the browser. PKCE S256, nonce and state are always there.
    ///
    /// # Errors
    /// If the provider's metadata is not known and cannot be fetched now.
    pub async fn authorization_url(&self, request: AuthorizationRequest<'_>) -> Result<Url, DiscoveryError> {
        let known = self.discovery.known(&self.transport).await?;
        let AuthorizationRequest { state, nonce, verifier, needs, account, login_hint } = request;
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.to_owned()));
        let prompt = prompt(needs, account);
        let mut url = known.metadata.authorization_endpoint.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client.id)
            .append_pair("redirect_uri", self.settings.redirect_uri.as_str())
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair("code_challenge", challenge.as_str())
            .append_pair("code_challenge_method", challenge.method().as_str());
        if let Some(max_age) = needs.max_age {
            query.append_pair("max_age", &max_age.as_secs().to_string());
        }
        if !needs.acr.is_empty() {
            query.append_pair("acr_values", &needs.acr.join(" "));
        }
        if let Some(prompt) = prompt {
            query.append_pair("prompt", prompt);
        }
        if let Some(hint) = login_hint {
            query.append_pair("login_hint", hint);
        }
        for (name, value) in &self.settings.request_params {
            let overruled = name == "prompt" && prompt.is_some();
            if !overruled && !OWN_PARAMETERS.contains(&name.as_str()) {
                query.append_pair(name, value);
            }
        }
        drop(query);
        Ok(url)
    }

    /// Spends the code and checks everything that comes back.
    ///
    /// # Errors
    /// Every way in which the callback does not prove who signed in; [`ExchangeError::is_outage`] tells
    /// whether trying again later may help.
    pub async fn exchange(&self, callback: Callback<'_>) -> Result<Identity, ExchangeError> {
        let mut known = self.discovery.known(&self.transport).await?;
        check_issuer(&callback, &known)?;
        let answer = self.spend(&callback, &known).await?;
        let id_token = answer.id_token.ok_or(ExchangeError::NoIdToken)?;
        let access_token = answer.access_token;
        let proof = Proof { id_token: id_token.expose(), access_token: access_token.expose() };
        let checked = self.checked(proof, Some(callback.nonce), callback.needs, &mut known).await?;
        let id_token_claims = RawClaims::of_verified_token(id_token.expose())?;
        let provider_session = id_token_claims.text("sid").map(Into::into);
        let userinfo = self.userinfo(access_token.expose(), &checked.subject, &known).await?;
        let claims = RawClaims::merged(id_token_claims, userinfo);
        let mapped = map(&claims, &self.settings.claims)?;
        let now = self.clock.now();
        Ok(Identity {
            principal: Principal { issuer: known.metadata.issuer.as_str().into(), subject: checked.subject.into() },
            provider_session,
            authenticated_at: checked.auth_time.map_or(now, |at| at.min(now)),
            acr: checked.acr,
            claims_json: mapped.claims_json,
            email: mapped.email,
            name: mapped.name,
            groups: mapped.groups,
            tokens: Tokens {
                expires_at: answer.expires_in.map(|span: Duration| now.saturating_add(span)),
                access_token,
                refresh_token: answer.refresh_token,
                id_token,
            },
        })
    }

    /// Gets new tokens for a session, and what the provider says of its person by now.
    ///
    /// # Errors
    /// There are no new tokens: [`RefreshError`] tells what became of the old ones. An error after the tokens came is
    /// in [`Refreshed::facts`], so that a new refresh token is never lost by it.
    pub async fn refresh(&self, held: Held<'_>) -> Result<Refreshed, RefreshError> {
        let known = timeout(REFRESH_STAGE, self.discovery.known(&self.transport)).await;
        let mut known = known.map_err(|_elapsed| RefreshError::Late)??;
        if known.metadata.issuer != held.issuer {
            return Err(RefreshError::OtherIssuer);
        }
        let fields = [("grant_type", "refresh_token"), ("refresh_token", held.refresh_token)];
        let metadata = &known.metadata;
        let request = client_request(&metadata.token_endpoint, &self.settings.client, metadata.client_auth, &fields)
            .map_err(RefreshError::Call)?;
        let answer = self.transport.send(Call::Token, request).await.map_err(RefreshError::Call)?;
        let answer = read_token_answer(&answer).map_err(of_answer)?;
        let now = self.clock.now();
        let mut tokens = RefreshedTokens {
            expires_at: answer.expires_in.map(|span: Duration| now.saturating_add(span)),
            access_token: answer.access_token,
            refresh_token: answer.refresh_token,
            id_token: answer.id_token,
        };
        let facts = timeout(REFRESH_STAGE, self.refreshed(held, &tokens, &mut known)).await;
        let facts = facts.unwrap_or(Err(RefreshError::Late));
        if facts.as_ref().is_err_and(RefreshError::leaves_id_token_unchecked) {
            tokens.id_token = None;
        }
        Ok(Refreshed { tokens, facts })
    }

    async fn refreshed(
        &self,
        held: Held<'_>,
        tokens: &RefreshedTokens,
        known: &mut Arc<Known>,
    ) -> Result<Option<RefreshedFacts>, RefreshError> {
        let new = tokens.id_token.as_ref().map(|token| token.expose());
        if let Some(id_token) = new {
            let proof = Proof { id_token, access_token: tokens.access_token.expose() };
            let checked = self.checked(proof, None, &Needs::default(), known).await.map_err(of_answer)?;
            // OpenID Connect Core 12.2: `sub` must be the same.
            if checked.subject != held.subject {
                return Err(RefreshError::OtherSubject);
            }
        }
        if new.is_none() && known.metadata.userinfo_endpoint.is_none() {
            return Ok(None);
        }
        let userinfo = self.userinfo(tokens.access_token.expose(), held.subject, known).await.map_err(of_answer)?;
        let claims = refresh::claims(new, held.id_token, userinfo)?;
        let Mapped { claims_json, email, name, groups } = map(&claims, &self.settings.claims)?;
        Ok(Some(RefreshedFacts { claims_json, email, name, groups }))
    }

    /// Where to send the browser to sign out at the provider too; `None` if it offers no such place or is
    /// not known and cannot be reached now.
    pub async fn logout_url(&self, request: LogoutRequest<'_>) -> Option<Url> {
        let known = self.discovery.known(&self.transport).await.ok()?;
        let LogoutRequest { id_token_hint, post_logout_redirect_uri, state } = request;
        let mut url = known.metadata.end_session_endpoint.clone()?;
        let mut query = url.query_pairs_mut();
        if let Some(hint) = id_token_hint {
            query.append_pair("id_token_hint", hint);
        }
        query
            .append_pair("client_id", &self.settings.client.id)
            .append_pair("post_logout_redirect_uri", post_logout_redirect_uri.as_str());
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        drop(query);
        Some(url)
    }

    /// Tells the provider that `token` is over (RFC 7009). `hint` is `access_token` or `refresh_token`.
    ///
    /// # Errors
    /// If the provider has no revocation endpoint, cannot be reached, or does not answer 200.
    pub async fn revoke(&self, token: &str, hint: &str) -> Result<(), RevokeError> {
        let known = self.discovery.known(&self.transport).await?;
        let endpoint = known.metadata.revocation_endpoint.as_ref().ok_or(RevokeError::Unsupported)?;
        let fields = [("token", token), ("token_type_hint", hint)];
        let request = client_request(endpoint, &self.settings.client, known.metadata.client_auth, &fields)
            .map_err(RevokeError::Call)?;
        let answer = self.transport.send(Call::Revocation, request).await.map_err(RevokeError::Call)?;
        if answer.status() == http::StatusCode::OK {
            Ok(())
        } else {
            Err(RevokeError::Status { status: answer.status().as_u16() })
        }
    }

    /// The provider's name in the configuration.
    #[must_use]
    pub const fn name(&self) -> &ProviderName {
        &self.settings.name
    }

    /// How the provider is doing, without asking it.
    #[must_use]
    pub fn status(&self) -> ProviderStatus {
        self.transport.health().status()
    }

    /// The issuer as the provider writes it, once it is known.
    #[must_use]
    pub fn issuer(&self) -> Option<String> {
        self.discovery.held().map(|known| known.metadata.issuer.clone())
    }

    /// Whether `provider` says what this relying party was made of, so that it may go on after a reload with
    /// all it has learnt.
    #[must_use]
    pub fn serves(&self, provider: &Provider, redirect_uri: &Url) -> bool {
        self.settings == Settings::of(provider, redirect_uri.clone())
    }

    async fn spend(&self, callback: &Callback<'_>, known: &Known) -> Result<TokenAnswer, ExchangeError> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", callback.code),
            ("redirect_uri", self.settings.redirect_uri.as_str()),
            ("code_verifier", callback.verifier),
        ];
        let metadata = &known.metadata;
        let request = client_request(&metadata.token_endpoint, &self.settings.client, metadata.client_auth, &fields)
            .map_err(ExchangeError::Call)?;
        let answer = self.transport.send(Call::Token, request).await.map_err(ExchangeError::Call)?;
        read_token_answer(&answer)
    }

    /// Checks the ID token; once more with newer keys if the provider may have rotated them.
    async fn checked(
        &self,
        proof: Proof<'_>,
        nonce: Option<&str>,
        needs: &Needs,
        known: &mut Arc<Known>,
    ) -> Result<Checked, ExchangeError> {
        let attempt = |known: &Known| {
            let expected = Expected {
                issuer: &known.metadata.issuer,
                client_id: &self.settings.client.id,
                nonce,
                access_token: proof.access_token,
                needs,
                now: self.clock.now(),
            };
            check(proof.id_token, &known.keys, &expected)
        };
        match attempt(known) {
            Err(error) if error.may_be_rotation() => {
                let newer = self.discovery.newer_keys(known, &self.transport).await.ok_or(error)?;
                *known = newer;
                Ok(attempt(known)?)
            }
            outcome @ (Ok(_) | Err(_)) => Ok(outcome?),
        }
    }

    async fn userinfo(&self, access_token: &str, subject: &str, known: &Known) -> Result<RawClaims, ExchangeError> {
        let Some(endpoint) = &known.metadata.userinfo_endpoint else {
            return Ok(RawClaims::default());
        };
        let told = userinfo::fetch(endpoint, access_token, &self.transport).await?;
        Ok(userinfo::read(&told, known, &self.settings.client.id, subject)?)
    }
}

/// An ID token and the access token it came with.
#[derive(Clone, Copy)]
struct Proof<'a> {
    id_token: &'a str,
    access_token: &'a str,
}

/// `max_age=0` and `prompt=login` are the same wish; providers honour one or the other.
fn prompt(needs: &Needs, account: Account) -> Option<&'static str> {
    match account {
        Account::Chosen => Some("select_account"),
        Account::Present if needs.max_age.is_some_and(|age| age.is_zero()) => Some("login"),
        Account::Present => None,
    }
}
