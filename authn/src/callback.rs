//! The end of a sign-in at the provider: the browser comes back with a code.

use portcullis_broker_api::{CreateError, EndReason, EndSelector, NewSession, Profile, Tokens};
use portcullis_handover::SignInRequest;
use portcullis_identity::{Needs, ProviderName, Session};
use portcullis_keys::{CredentialKind, Handle};
use portcullis_oidc::{Callback, ClaimsError, ExchangeError, Identity, OauthErrorCode, SafeText};

use crate::answer::{Answer, Cause, CookieChange, Credential};
use crate::flow::{Age, Flow, Proofs};
use crate::generation::Offered;
use crate::hand_over::Live;
use crate::metrics::SignInResult;
use crate::service::Turn;
use crate::sessions::Sessions;
use crate::sign_in::chain;

impl<S: Sessions> Turn<'_, S> {
    /// The provider's callback. Nothing in it is believed before its state is opened and found to be this
    /// browser's.
    pub(crate) async fn callback(&self) -> Result<Answer, Box<Answer>> {
        let state = self.asked.query.one("state").unwrap_or_default();
        let keys = &self.generation.keys;
        let Some((flow, age)) = Flow::open(state, &keys.flow, self.generation.host(), self.now) else {
            return self.late(Cause::Stale, None).await;
        };
        // The message was judged when the state was made: by then's clock it is as good as it was.
        let request = flow
            .request
            .as_deref()
            .and_then(|sealed| SignInRequest::open(sealed, &keys.handover, self.generation.host(), flow.issued).ok())
            .filter(|request| self.generation.serves(&request.host));
        if flow.request.is_some() && request.is_none() {
            return self.late(Cause::RequestUnusable, None).await;
        }
        let request = request.as_ref();
        if age == Age::Stale {
            return self.late(Cause::Stale, request).await;
        }
        // Login CSRF: a callback is worth nothing in another browser. Compared in constant time.
        let bind = self.asked.bind(&self.generation.cookie).filter(|bind| bind.matches(&flow.bind));
        let Some(bind) = bind else {
            return self.unbound(flow.request.as_deref(), request).await;
        };
        let Some(offered) = self.generation.provider(&flow.provider) else {
            return Ok(self.trouble(Cause::NoProvider, request));
        };
        if let Some(code) = self.asked.query.one("error") {
            return Ok(self.refused_there(offered, code, request));
        }
        let proofs = Proofs::of_state(&keys.flow, state, &bind, &flow.txn);
        let (Some(code), Some(proofs)) = (self.asked.query.one("code"), proofs) else {
            return self.late(Cause::Stale, request).await;
        };
        let needs = request.map(|request| request.needs.clone()).unwrap_or_default();
        let callback = Callback {
            code,
            iss: self.asked.query.one("iss"),
            verifier: &proofs.verifier,
            nonce: &proofs.nonce,
            needs: &needs,
        };
        match offered.relying_party.exchange(callback).await {
            Ok(identity) => match self.confirmed_by(&identity, &needs, request).await? {
                Some(live) => {
                    self.core.metrics.sign_in_ended(&live.session.provider, SignInResult::Reused);
                    Ok(self.enter(request, &live))
                }
                None => self.admit(offered, identity, &needs, request).await,
            },
            Err(error) => self.not_exchanged(offered, error, request).await,
        }
    }

    /// A callback that comes too late or to the wrong browser: whoever has a session is sent on with it.
    async fn late(&self, cause: Cause, request: Option<&SignInRequest>) -> Result<Answer, Box<Answer>> {
        let needs = request.map(|request| request.needs.clone()).unwrap_or_default();
        match self.live().await? {
            Some(live) if needs.met_by(&live.session, self.now) => {
                self.core.metrics.sign_in_ended(&live.session.provider, SignInResult::Reused);
                Ok(self.enter(request, &live))
            }
            Some(_) | None => {
                // Which provider a callback that is not ours came from is nobody's word we take.
                self.core.metrics.sign_in_ended(&ProviderName::new("none"), SignInResult::Stale);
                Ok(self.trouble(cause, request))
            }
        }
    }

    /// A callback whose bind is not this browser's. First tabs that are opened at once each bring a bind cookie, and the
    /// browser keeps one: the others begin again with it, which the provider answers without a question. The code is
    /// not spent, so whoever was lured here with somebody else's callback signs in as themselves.
    async fn unbound(&self, sealed: Option<&str>, request: Option<&SignInRequest>) -> Result<Answer, Box<Answer>> {
        let bound = self.asked.bind(&self.generation.cookie).is_some();
        match sealed {
            // The next round is bound to the cookie that came just now, so there is no third.
            Some(sealed) if bound && self.live().await?.is_none() => {
                self.core.metrics.sign_in_ended(&ProviderName::new("none"), SignInResult::Stale);
                let page = self.generation.path("sign_in");
                Ok(Answer::redirect(format!("{}{page}?r={sealed}", self.origin(self.generation.host()))))
            }
            Some(_) | None => self.late(Cause::OtherBrowser, request).await,
        }
    }

    /// The session that this sign-in merely confirms: another tab has signed the same person in since this one left for
    /// the provider. Replacing it would close what the other tab has open. Never if another account was asked for.
    async fn confirmed_by(
        &self,
        identity: &Identity,
        needs: &Needs,
        request: Option<&SignInRequest>,
    ) -> Result<Option<Live>, Box<Answer>> {
        if request.is_none_or(|request| request.fresh_account) {
            return Ok(None);
        }
        let same = |live: &Live| live.session.principal == identity.principal && needs.met_by(&live.session, self.now);
        Ok(self.live().await?.filter(same))
    }

    /// `error=` instead of a code (RFC 6749, 4.1.2.1).
    fn refused_there(&self, offered: Offered<'_>, code: &str, request: Option<&SignInRequest>) -> Answer {
        let provider = offered.provider.label.to_string();
        let code = OauthErrorCode::parse(code);
        let (result, cause) = if code.is_outage() {
            (SignInResult::ProviderDown, Cause::ProviderDown { provider })
        } else if code == OauthErrorCode::UnmetRequirements {
            (SignInResult::Unmet, Cause::Unmet { provider })
        } else {
            let description = self.asked.query.one("error_description").unwrap_or_default();
            (SignInResult::Refused, Cause::Refused { provider, code, description: SafeText::new(description) })
        };
        self.core.metrics.sign_in_ended(&offered.provider.name, result);
        self.trouble(cause, request)
    }

    async fn not_exchanged(
        &self,
        offered: Offered<'_>,
        error: ExchangeError,
        request: Option<&SignInRequest>,
    ) -> Result<Answer, Box<Answer>> {
        let (name, provider) = (&offered.provider.name, offered.provider.label.to_string());
        tracing::warn!(provider.name = %name, error = %chain(&error), "callback was not accepted");
        let (result, cause) = match error {
            // The code was spent before: a second tab, a reloaded page, or somebody who replays it.
            ExchangeError::Refused { code: OauthErrorCode::InvalidGrant, .. } => {
                return self.late(Cause::Spent, request).await;
            }
            error if error.is_outage() => (SignInResult::ProviderDown, Cause::ProviderDown { provider }),
            ExchangeError::Refused { code, description } => {
                (SignInResult::Refused, Cause::Refused { provider, code, description })
            }
            ExchangeError::IdToken(error) if error.is_unmet_need() => (SignInResult::Unmet, Cause::Unmet { provider }),
            ExchangeError::Claims(error) => (SignInResult::Refused, claims_cause(error, provider)),
            ExchangeError::Discovery(_)
            | ExchangeError::IssuerMissing
            | ExchangeError::IssuerMismatch
            | ExchangeError::Call(_)
            | ExchangeError::Status { .. }
            | ExchangeError::MalformedTokens
            | ExchangeError::TokenType
            | ExchangeError::NoIdToken
            | ExchangeError::IdToken(_)
            | ExchangeError::Userinfo(_) => (SignInResult::Rejected, Cause::Unproven { provider }),
        };
        self.core.metrics.sign_in_ended(name, result);
        Ok(self.trouble(cause, request))
    }

    /// The person is who they are: a session with a new handle, committed before anything of it is revealed.
    async fn admit(
        &self,
        offered: Offered<'_>,
        identity: Identity,
        needs: &Needs,
        request: Option<&SignInRequest>,
    ) -> Result<Answer, Box<Answer>> {
        let name = &offered.provider.name;
        let handle = Handle::random(&*self.core.random);
        let session = match self.create(&handle, name, identity).await {
            Ok(session) => session,
            Err(CreateError::ClaimsTooLarge { bytes }) => {
                self.core.metrics.sign_in_ended(name, SignInResult::Refused);
                return Ok(self.trouble(Cause::ClaimsTooLarge { bytes }, request));
            }
            Err(error @ (CreateError::Exists | CreateError::Broker(_))) => {
                tracing::warn!(error = %chain(&error), "broker did not keep a session");
                self.core.metrics.sign_in_ended(name, SignInResult::BrokerDown);
                return Ok(self.trouble(Cause::BrokerDown, request));
            }
        };
        self.replace_old().await;
        let credential = self.generation.keys.credential.mint(CredentialKind::Session, &handle, self.generation.host());
        let live = Live { handle, session };
        let answer = if needs.met_by(&live.session, self.now) {
            self.core.metrics.sign_in_ended(name, SignInResult::Ok);
            self.enter(request, &live)
        } else {
            // A fresh sign-in that does not suffice will not suffice the next time: never a loop.
            self.core.metrics.sign_in_ended(name, SignInResult::Unmet);
            self.trouble(Cause::Unmet { provider: offered.provider.label.to_string() }, request)
        };
        let expires_at = live.session.expires_at;
        Ok(answer.with(CookieChange::Session { credential: Credential(credential), expires_at }))
    }

    async fn create(
        &self,
        handle: &Handle,
        provider: &ProviderName,
        identity: Identity,
    ) -> Result<Session, CreateError> {
        let limits = self.generation.config.session;
        let Identity { principal, provider_session, authenticated_at, acr, claims_json, email, name, groups, tokens } =
            identity;
        let portcullis_oidc::Tokens { access_token, refresh_token, id_token, expires_at } = tokens;
        let new = NewSession {
            key: handle.key(),
            provider: provider.clone(),
            provider_session,
            profile: Profile {
                user_id: principal.subject.clone(),
                email,
                name,
                groups: groups.map(|groups| groups.to_vec().into()),
            },
            principal,
            claims_json,
            authenticated_at,
            acr,
            expires_at: self.now.saturating_add(limits.lifetime),
            idle: limits.idle,
            tokens: Tokens { access_token: Some(access_token), refresh_token, id_token: Some(id_token), expires_at },
        };
        self.core.sessions.create(new).await
    }

    /// The session this browser had before ends: nobody who knew the old handle comes along.
    async fn replace_old(&self) {
        let Some(old) = self.handle() else { return };
        if let Err(error) = self.core.sessions.end(EndSelector::Key(old.key()), EndReason::Replaced).await {
            tracing::warn!(session.key = %old.key(), error = %chain(&error), "replaced session was not ended");
        }
    }
}

fn claims_cause(error: ClaimsError, provider: String) -> Cause {
    match error {
        ClaimsError::Malformed => Cause::Unproven { provider },
        ClaimsError::TooLarge { bytes } => Cause::ClaimsTooLarge { bytes },
        ClaimsError::EmailNotVerified => Cause::EmailNotVerified { provider },
        ClaimsError::GroupOverage { claim } | ClaimsError::GroupsUnreadable { claim } => Cause::Groups { claim },
    }
}
