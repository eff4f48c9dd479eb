//! The beginning of a sign-in: from the host that asks to the identity provider.

use portcullis_handover::{Bind, HandoverError, SignInRequest};
use portcullis_identity::Needs;
use portcullis_oidc::{Account, AuthorizationRequest};
use url::form_urlencoded;

use crate::answer::{Answer, Cause, CookieChange, Offer, What};
use crate::flow::{Flow, Proofs};
use crate::generation::Offered;
use crate::hand_over::Live;
use crate::metrics::SignInResult;
use crate::service::Turn;
use crate::sessions::Sessions;

/// A sign-in that somebody asked for: the message as it came, and what it says.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The sealed text, to be carried through the provider.
    sealed: Option<String>,
    pub(crate) request: Option<SignInRequest>,
}

impl Wanted {
    pub(crate) fn needs(&self) -> Needs {
        self.request.as_ref().map(|request| request.needs.clone()).unwrap_or_default()
    }

    fn account(&self) -> Account {
        let fresh = self.request.as_ref().is_some_and(|request| request.fresh_account);
        if fresh { Account::Chosen } else { Account::Present }
    }
}

impl<S: Sessions> Turn<'_, S> {
    /// `sign_in?r=`: the only source of an address to return to is the sealed message.
    pub(crate) async fn sign_in(&self) -> Result<Answer, Box<Answer>> {
        let wanted = self.wanted()?;
        let needs = wanted.needs();
        let live = self.live().await?;
        let enough = |live: &&Live| wanted.account() == Account::Present && needs.met_by(&live.session, self.now);
        if let Some(live) = live.as_ref().filter(enough) {
            self.core.metrics.sign_in_ended(&live.session.provider, SignInResult::Reused);
            return Ok(self.enter(wanted.request.as_ref(), live));
        }
        let offered: Vec<_> = self.generation.offered(&needs).collect();
        let named = self.asked.query.one("provider");
        let chosen = offered.iter().find(|offered| Some(offered.provider.name.as_str()) == named);
        match (chosen, offered.as_slice()) {
            (Some(chosen), _) => self.to_provider(*chosen, &wanted, live.as_ref()).await,
            (None, []) => Ok(self.trouble(Cause::NoProvider, wanted.request.as_ref())),
            (None, [only]) => self.to_provider(*only, &wanted, live.as_ref()).await,
            (None, several) => Ok(self.choice(several, &wanted)),
        }
    }

    /// What the sealed message asks for, if there is one; an answer if it cannot be used.
    pub(crate) fn wanted(&self) -> Result<Wanted, Box<Answer>> {
        if !self.asked.query.has("r") {
            return Ok(Wanted::default());
        }
        let sealed = self.asked.query.one("r").unwrap_or_default();
        match SignInRequest::open(sealed, &self.generation.keys.handover, self.generation.host(), self.now) {
            Ok(request) if !self.generation.serves(&request.host) => {
                tracing::warn!(url.host = request.host, "sign-in asked for by a host that no route serves");
                Err(Box::new(self.trouble(Cause::RequestUnusable, None)))
            }
            Ok(request) => Ok(Wanted { sealed: Some(sealed.to_owned()), request: Some(request) }),
            Err(error) => {
                if let HandoverError::NotYet { ahead } = error {
                    tracing::warn!(clock.ahead_seconds = ahead.as_secs(), "the clock of another host is ahead");
                }
                Err(Box::new(self.trouble(Cause::RequestUnusable, None)))
            }
        }
    }

    fn choice(&self, offered: &[Offered<'_>], wanted: &Wanted) -> Answer {
        let offer = |offered: &Offered<'_>| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            if let Some(sealed) = &wanted.sealed {
                query.append_pair("r", sealed);
            }
            query.append_pair("provider", offered.provider.name.as_str());
            let href = format!("{}?{}", self.generation.path("sign_in"), query.finish());
            Offer { label: offered.provider.label.to_string(), href }
        };
        let host = wanted.request.as_ref().map(|request| request.host.clone());
        Answer::new(What::Choice { offers: offered.iter().map(offer).collect(), host })
    }

    async fn to_provider(
        &self,
        offered: Offered<'_>,
        wanted: &Wanted,
        live: Option<&Live>,
    ) -> Result<Answer, Box<Answer>> {
        let Offered { provider, relying_party } = offered;
        let cookie = &self.generation.cookie;
        let bind = self.asked.bind(cookie).unwrap_or_else(|| Bind::random(&*self.core.random));
        let mut txn = [0; 16];
        self.core.random.fill(&mut txn);
        let flow = Flow {
            request: wanted.sealed.clone(),
            provider: provider.name.clone(),
            txn,
            bind: bind.digest(),
            issued: self.now,
        };
        let keys = &self.generation.keys.flow;
        let state = flow
            .seal(keys, self.generation.host(), &*self.core.random)
            .ok_or_else(|| self.trouble(Cause::RequestUnusable, None))?;
        let proofs = Proofs::now(keys, &bind, &txn);
        let account = wanted.account();
        // Whoever only has to prove themselves again is spared to say who they are.
        let known = live.filter(|live| account == Account::Present && live.session.provider == provider.name);
        let hint = known.map(|live| live.session.subject.email.as_ref()).filter(|email| !email.is_empty());
        let url = relying_party
            .authorization_url(AuthorizationRequest {
                state: &state,
                nonce: &proofs.nonce,
                verifier: &proofs.verifier,
                needs: &wanted.needs(),
                account,
                login_hint: hint,
            })
            .await;
        match url {
            Ok(url) => Ok(Answer::redirect(url.into()).with(CookieChange::Bind(bind))),
            Err(error) => {
                tracing::warn!(provider.name = %provider.name, error = %chain(&error), "provider is not known");
                self.core.metrics.sign_in_ended(&provider.name, SignInResult::ProviderDown);
                let cause = Cause::ProviderDown { provider: provider.label.to_string() };
                Ok(self.trouble(cause, wanted.request.as_ref()))
            }
        }
    }
}

/// An error with its sources in one line; ours hold no token and no code.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
