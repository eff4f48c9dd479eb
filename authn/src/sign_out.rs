//! Sign-out: the session ends everywhere, then at the provider it came from.

use std::time::Duration;

use http::Method;
use portcullis_broker_api::{EndReason, EndSelector, LogoutHint};
use portcullis_handover::{ReturnPath, SignOutOrder};
use portcullis_identity::{SessionKey, Timestamp};
use portcullis_oidc::{LogoutRequest, RelyingParty};
use url::Url;

use crate::answer::{Answer, Cause, CookieChange, What};
use crate::metrics::SignOutResult;
use crate::service::Turn;
use crate::sessions::Sessions;
use crate::sign_in::chain;

/// How long the provider may take before a sign-out goes on without it: the session is over already.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(3);
/// How long a person may take at the provider's sign-out page and still be offered the way back.
const BACK_LIFETIME: Duration = Duration::from_secs(600);
const BACK_TAG: u8 = b'b';

/// Where a person came from: a host of ours and a path on it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Back {
    host: String,
    path: ReturnPath,
}

impl<S: Sessions> Turn<'_, S> {
    /// `sign_out`: a question for GET, an answer for a POST of our own page, and no question for the sealed
    /// order of a host that has asked already.
    pub(crate) async fn sign_out(&self) -> Result<Answer, Box<Answer>> {
        if self.asked.method == Method::POST {
            return self.confirmed().await;
        }
        match self.asked.query.one("o") {
            Some(order) => self.ordered(order).await,
            None => self.asked_first().await,
        }
    }

    /// `signed_out`: also where the provider sends the browser back to.
    pub(crate) fn signed_out(&self) -> Answer {
        let back = self.asked.query.one("state").and_then(|state| self.open_back(state));
        Answer::new(What::SignedOut { back: back.map(|back| self.address(&back)) })
    }

    async fn asked_first(&self) -> Result<Answer, Box<Answer>> {
        Ok(match self.live().await? {
            Some(live) => Answer::new(What::ConfirmSignOut(Box::new(live.session))),
            None => Answer::new(What::SignedOut { back: None }).with(CookieChange::NoSession),
        })
    }

    async fn confirmed(&self) -> Result<Answer, Box<Answer>> {
        if !self.asked.is_same_origin(&self.origin(self.generation.host())) {
            self.core.metrics.sign_out_ended(SignOutResult::CrossSite);
            return self.asked_first().await; // nothing happens before the person says so on our own page
        }
        match self.handle() {
            Some(handle) => Ok(self.end(handle.key(), None).await?.with(CookieChange::NoSession)),
            None => {
                self.core.metrics.sign_out_ended(SignOutResult::Nothing);
                Ok(Answer::redirect(self.home(None)).with(CookieChange::NoSession))
            }
        }
    }

    async fn ordered(&self, sealed: &str) -> Result<Answer, Box<Answer>> {
        let keys = &self.generation.keys.handover;
        let Ok(order) = SignOutOrder::open(sealed, keys, self.generation.host(), self.now) else {
            // Whoever holds an old order is asked like anybody else.
            return self.asked_first().await;
        };
        let SignOutOrder { host, session, return_to, issued: _ } = order;
        let back = return_to.filter(|_| self.generation.serves(&host)).map(|path| Back { host, path });
        let answer = self.end(session, back).await?;
        // Only the session of the order ends: an order lured in from elsewhere cannot sign anybody else out.
        let own = self.handle().is_none_or(|handle| handle.key() == session);
        Ok(if own { answer.with(CookieChange::NoSession) } else { answer })
    }

    async fn end(&self, key: SessionKey, back: Option<Back>) -> Result<Answer, Box<Answer>> {
        let ended = self.core.sessions.end(EndSelector::Key(key), EndReason::SignedOut).await.map_err(|error| {
            tracing::warn!(session.key = %key, error = %chain(&error), "session was not ended");
            self.core.metrics.sign_out_ended(SignOutResult::BrokerDown);
            Box::new(Answer::trouble(Cause::BrokerDown, self.generation.path("sign_out")))
        })?;
        tracing::debug!(session.key = %key, "session ended by its person");
        let result = if ended.is_empty() { SignOutResult::Nothing } else { SignOutResult::Ok };
        self.core.metrics.sign_out_ended(result);
        let hint = ended.into_iter().find_map(|ended| ended.logout);
        let onward = match hint {
            Some(hint) => self.at_provider(&hint, back.as_ref()).await,
            None => None,
        };
        Ok(Answer::redirect(onward.unwrap_or_else(|| self.home(back.as_ref()))))
    }

    /// The session's own provider: its tokens are revoked as far as it lets us, and the browser goes there.
    async fn at_provider(&self, hint: &LogoutHint, back: Option<&Back>) -> Option<String> {
        let LogoutHint { provider, id_token, access_token } = hint;
        let offered = self.generation.provider(provider)?;
        let uri = Url::parse(&self.home(None)).ok()?;
        let own_page = self.generation.config.sign_in.signed_out_url.is_none();
        let state = back.filter(|_| own_page).map(|back| self.seal_back(back));
        let request = LogoutRequest {
            id_token_hint: id_token.as_ref().map(|token| token.expose()),
            post_logout_redirect_uri: &uri,
            state: state.as_deref(),
        };
        let revoked = async {
            if let Some(token) = access_token {
                revoke(offered.relying_party, token.expose()).await;
            }
        };
        let both = async { tokio::join!(revoked, offered.relying_party.logout_url(request)).1 };
        tokio::time::timeout(PROVIDER_PATIENCE, both).await.ok().flatten().map(Into::into)
    }

    /// Where a sign-out ends on our side.
    fn home(&self, back: Option<&Back>) -> String {
        match (back, &self.generation.config.sign_in.signed_out_url) {
            (Some(back), _) => self.address(back),
            (None, Some(url)) => url.to_string(),
            (None, None) => format!("{}{}", self.origin(self.generation.host()), self.generation.path("signed_out")),
        }
    }

    fn address(&self, back: &Back) -> String {
        format!("{}{}", self.origin(&back.host), back.path)
    }

    fn seal_back(&self, back: &Back) -> String {
        let mut plain = vec![BACK_TAG];
        plain.extend_from_slice(&self.now.unix_millis().to_be_bytes());
        plain.extend_from_slice(back.host.as_bytes());
        plain.extend_from_slice(back.path.as_str().as_bytes()); // begins with the only first slash
        self.generation.keys.flow.seal(self.generation.host(), &plain, &*self.core.random)
    }

    fn open_back(&self, sealed: &str) -> Option<Back> {
        let plain = self.generation.keys.flow.open(self.generation.host(), sealed).ok()?;
        let (tag, rest) = plain.split_first()?;
        let (issued, rest) = rest.split_first_chunk::<8>()?;
        let issued = Timestamp::from_unix_millis(i64::from_be_bytes(*issued));
        let text = std::str::from_utf8(rest).ok()?;
        let (host, path) = text.split_at_checked(text.find('/')?)?;
        let current = *tag == BACK_TAG && self.now.since(issued) <= BACK_LIFETIME;
        current.then_some(Back { host: host.to_owned(), path: ReturnPath::new(path).ok()? })
    }
}

/// Best effort: the session is over here whatever the provider says.
async fn revoke(relying_party: &RelyingParty, access_token: &str) {
    if let Err(error) = relying_party.revoke(access_token, "access_token").await {
        tracing::debug!(provider.name = %relying_party.name(), error = %chain(&error), "token was not revoked");
    }
}
