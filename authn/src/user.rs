//! The user page on the sign-in host: the session, and the programs that its person let in, each ended by a same-origin
//! POST. Only what was made of the asker's own session is shown or ended: a program sees no siblings.

use portcullis_broker_api::{EndReason, EndSelector};
use portcullis_identity::DerivedSession;
use portcullis_reply::END_PARAMETER;

use crate::answer::{Answer, Cause, Portrait, What};
use crate::hand_over::Live;
use crate::service::Turn;
use crate::sessions::Sessions;
use crate::sign_in::chain;

impl<S: Sessions> Turn<'_, S> {
    /// `user`: who somebody is to us.
    pub(crate) async fn user(&self) -> Result<Answer, Box<Answer>> {
        let Some(live) = self.live().await? else { return Ok(self.nobody()) };
        let programs = self.programs(&live).await;
        Ok(Answer::new(What::User(Box::new(Portrait { session: live.session, programs }))))
    }

    /// A POST to `user` that ends the session of one program.
    pub(crate) async fn end_program(&self) -> Result<Answer, Box<Answer>> {
        if !self.asked.is_same_origin(&self.origin(self.generation.host())) {
            return self.user().await; // nothing happens before the person says so on our own page
        }
        let Some(live) = self.live().await? else { return Ok(self.nobody()) };
        let page = self.generation.path("user");
        let down = || Box::new(Answer::trouble(Cause::BrokerDown, page.clone()));
        let programs = self.programs(&live).await.ok_or_else(down)?;
        let asked = self.asked.query.one(END_PARAMETER);
        // What is not there is over, or was never theirs: the page says what there is.
        if let Some(program) = programs.iter().find(|program| Some(program.key.to_string().as_str()) == asked) {
            let ended = self.core.sessions.end(EndSelector::Key(program.key), EndReason::SignedOut).await;
            ended.map_err(|error| {
                tracing::warn!(session.key = %program.key, error = %chain(&error), "session was not ended");
                down()
            })?;
            tracing::debug!(session.key = %program.key, "session of a program ended by its person");
        }
        Ok(Answer::redirect(page))
    }

    fn nobody(&self) -> Answer {
        Answer::new(What::Challenge { sign_in: self.generation.path("sign_in") })
    }

    /// The programs that somebody let in; `None`: the broker does not say.
    async fn programs(&self, live: &Live) -> Option<Vec<DerivedSession>> {
        match self.core.sessions.list_derived(&live.handle.key()).await {
            Ok(programs) => Some(programs),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "broker does not say which programs there are");
                None
            }
        }
    }
}
