//! The end of every sign-in: the session goes to the host that asked.

use portcullis_handover::{HandOver, SignInRequest};
use portcullis_identity::Session;
use portcullis_keys::{CredentialKind, Handle};
use url::Url;

use crate::answer::{Answer, Asking, Cause, What};
use crate::request::CredentialCookie;
use crate::service::Turn;
use crate::sessions::Sessions;

/// A session of this browser on the sign-in host.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) handle: Handle,
    pub(crate) session: Session,
}

impl<S: Sessions> Turn<'_, S> {
    /// The browser's session here, if it has one that is not over.
    pub(crate) async fn live(&self) -> Result<Option<Live>, Box<Answer>> {
        let Some(handle) = self.handle() else {
            return Ok(None);
        };
        match self.core.sessions.fetch(&handle.key()).await {
            Ok(session) => {
                let live = session.filter(|session| !session.is_over(self.now));
                Ok(live.map(|session| Live { handle, session }))
            }
            Err(error) => {
                tracing::warn!(error = %error, "broker did not answer the sign-in service");
                Err(Box::new(self.trouble(Cause::BrokerDown, None)))
            }
        }
    }

    /// The handle in the browser's cookie; whether there is a session behind it is the broker's to say.
    pub(crate) fn handle(&self) -> Option<Handle> {
        let cookie = &self.generation.cookie;
        match self.asked.credential(&self.generation.keys.credential, self.generation.host(), cookie) {
            CredentialCookie::Handle(handle) => Some(handle),
            CredentialCookie::None | CredentialCookie::Rejected => None,
        }
    }

    /// Sends the browser on with its session: to the host that asked, or to our own page. A program waits until
    /// the person has said yes.
    pub(crate) fn enter(&self, request: Option<&SignInRequest>, live: &Live) -> Answer {
        match request {
            None => Answer::redirect(self.generation.path("user")),
            // Judged where the message was opened; here once more, because here the session leaves.
            Some(request) if !self.generation.serves(&request.host) => self.trouble(Cause::RequestUnusable, None),
            Some(request) => match &request.programmatic {
                None => Answer::redirect(self.hand_over(request, &live.handle)),
                Some(program) => self.ask_for_program(request, program, &live.session),
            },
        }
    }

    /// POST of the confirmation page: the program gets what the person has seen it ask for. Any site, and anybody
    /// who gets a link clicked, can cause everything that comes before this.
    pub(crate) async fn program_allowed(&self) -> Result<Answer, Box<Answer>> {
        let wanted = self.wanted()?;
        let Some((request, program)) = wanted.request.as_ref().and_then(|one| Some((one, one.programmatic.as_ref()?)))
        else {
            return Ok(Answer::new(What::WrongMethod));
        };
        let live = self.live().await?.filter(|live| request.needs.met_by(&live.session, self.now));
        match live {
            Some(live) if self.asked.is_same_origin(&self.origin(self.generation.host())) => {
                self.to_program(request, program, &live).await
            }
            Some(live) => Ok(self.ask_for_program(request, program, &live.session)),
            None => self.sign_in().await,
        }
    }

    /// The page that a sign-in began with, where a new one begins by itself; else our own sign-in.
    pub(crate) fn again(&self, request: Option<&SignInRequest>) -> String {
        match request {
            Some(SignInRequest { host, return_path, programmatic: None, .. }) => {
                format!("{}{return_path}", self.origin(host))
            }
            Some(_) | None => self.generation.path("sign_in"),
        }
    }

    pub(crate) fn trouble(&self, cause: Cause, request: Option<&SignInRequest>) -> Answer {
        Answer::trouble(cause, self.again(request))
    }

    fn hand_over(&self, request: &SignInRequest, handle: &Handle) -> String {
        let mut id = [0; 16];
        self.core.random.fill(&mut id);
        let message = HandOver {
            host: request.host.clone(),
            handle: handle.clone(),
            return_path: request.return_path.clone(),
            bind: request.bind,
            id,
            issued: self.now,
            attempt: request.attempt,
        };
        let sealed = message.seal(&self.generation.keys.handover, &*self.core.random);
        format!("{}{}?h={sealed}", self.origin(&request.host), self.generation.path("callback"))
    }

    /// The page that names the program. The request is sealed anew: the person may take their time to decide.
    fn ask_for_program(&self, request: &SignInRequest, program: &str, session: &Session) -> Answer {
        let Some(url) = self.program_url(program) else {
            return self.trouble(Cause::RequestUnusable, None);
        };
        let renewed = SignInRequest { issued: self.now, ..request.clone() };
        let sealed = renewed.seal(&self.generation.keys.handover, self.generation.host(), &*self.core.random);
        let asking = Asking {
            session: session.clone(),
            host: request.host.clone(),
            program: url.origin().ascii_serialization(),
            sealed,
        };
        Answer::new(What::ConfirmProgram(Box::new(asking)))
    }

    /// A local program waits for its credential at an address that the asking host has judged. It gets a session of its
    /// own, made of the person's: it can be told apart and ended alone, and ends with the person's at the latest.
    async fn to_program(&self, request: &SignInRequest, program: &str, live: &Live) -> Result<Answer, Box<Answer>> {
        let Some(mut url) = self.program_url(program) else {
            return Ok(self.trouble(Cause::RequestUnusable, None));
        };
        let handle = Handle::random(&*self.core.random);
        match self.core.sessions.derive(&live.handle.key(), &handle.key(), &request.host).await {
            Ok(Some(_)) => {}
            // It ended since it was looked at.
            Ok(None) => return self.sign_in().await,
            Err(error) => {
                tracing::warn!(error = %error, "broker made no session for a program");
                return Err(Box::new(self.trouble(Cause::BrokerDown, None)));
            }
        }
        let credential = self.generation.keys.credential.mint(CredentialKind::Session, &handle, &request.host);
        let parameter = match self.generation.config.sign_in.namespace {
            portcullis_config::Namespace::Portcullis => "portcullis_credential",
            portcullis_config::Namespace::Pomerium => "pomerium_jwt",
        };
        url.query_pairs_mut().append_pair(parameter, &credential);
        Ok(Answer::redirect(url.into()))
    }

    /// Where a program waits, if programs may wait at all: the order may be older than the switch.
    fn program_url(&self, program: &str) -> Option<Url> {
        let on = !self.generation.config.sign_in.programmatic_hosts.is_empty();
        Url::parse(program).ok().filter(|url| on && matches!(url.scheme(), "http" | "https"))
    }
}
