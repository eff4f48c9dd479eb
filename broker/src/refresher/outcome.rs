//! What a provider says of a refresh, and how it is written.

use std::sync::Arc;
use std::time::Duration;

use portcullis_broker_api::wire::{self, WireError};
use portcullis_broker_api::{Profile, Tokens};
use portcullis_identity::{SecretText, SessionKey};
use portcullis_oidc::{Held, RefreshError, Refreshed, RefreshedFacts, RefreshedTokens, RelyingParty};

use crate::plan::{Due, Facts, RefreshOutcome, Sureness};
use crate::queue::{Queue, Refusal};
use crate::writer::Command;

/// How often the writing of an answer is tried, and the first pause, which doubles each time.
const WRITES: u32 = 8;
const WRITE_PAUSE: Duration = Duration::from_millis(50);

/// Asks the provider and writes what it says; answers what came of it in one word.
pub(super) async fn refresh(writes: &Queue<Command>, party: Option<Arc<RelyingParty>>, due: Due) -> &'static str {
    let (key, mark) = (due.key, due.mark);
    let outcome = match (&party, &due.tokens.refresh_token) {
        (Some(party), Some(refresh_token)) => {
            let held = Held {
                issuer: &due.principal.issuer,
                subject: &due.principal.subject,
                refresh_token: refresh_token.expose(),
                id_token: due.tokens.id_token.as_ref().map(SecretText::expose),
            };
            let answer = party.refresh(held).await;
            outcome_of(answer, &due)
        }
        // The provider is not configured any more: the session lives its own time.
        (None, _) | (_, None) => RefreshOutcome::Kept(sureness(due.interrupted)),
    };
    finish(writes, (key, mark), &outcome).await
}

/// Writes how a refresh went, again and again while the store is busy: new tokens have no other place. Answers what came
/// of it.
async fn finish(writes: &Queue<Command>, mark: (SessionKey, u64), outcome: &RefreshOutcome) -> &'static str {
    let label = outcome.label();
    let told = |refusal: Refusal| {
        tracing::warn!(session.key = %mark.0, error = &refusal as &dyn std::error::Error, "refresh not written");
        "unwritten"
    };
    for attempt in 0..WRITES {
        let outcome = outcome.clone();
        match writes.ask(|reply| Command::FinishRefresh { mark, outcome, reply }).await {
            Ok(()) => return label,
            // It has ended meanwhile.
            Err(Refusal::NoSession) => return "too_late",
            Err(refusal @ (Refusal::Busy | Refusal::Store)) if attempt + 1 == WRITES => return told(refusal),
            Err(Refusal::Busy | Refusal::Store) => tokio::time::sleep(WRITE_PAUSE * 2_u32.pow(attempt)).await,
            Err(
                refusal @ (Refusal::Closed
                | Refusal::Exists
                | Refusal::TooManyOfType
                | Refusal::TooManyRecordBytes
                | Refusal::OtherType),
            ) => return told(refusal),
        }
    }
    label
}

fn outcome_of(answer: Result<Refreshed, RefreshError>, due: &Due) -> RefreshOutcome {
    let told = |error: &(dyn std::error::Error + 'static), outcome: RefreshOutcome| {
        let what = match &outcome {
            RefreshOutcome::Kept(_) => "tried again later",
            RefreshOutcome::Renewed { .. } => "claims stay as they are",
            RefreshOutcome::Stopped => "refreshing ended",
            RefreshOutcome::Ended => "session ended",
        };
        tracing::info!(session.key = %due.key, provider.name = %due.provider, error, what, "refresh at the provider failed");
        outcome
    };
    let Refreshed { tokens, facts } = match answer {
        Ok(refreshed) => refreshed,
        // The spent token may be our own doing: a refresh that went through and was not written.
        Err(error) if error.is_end_of_grant() && due.interrupted => return told(&error, RefreshOutcome::Stopped),
        Err(error) if error.is_end_of_grant() => return told(&error, RefreshOutcome::Ended),
        Err(error) => return told(&error, RefreshOutcome::Kept(sureness(due.interrupted || error.is_unsure()))),
    };
    let tokens = match renewed(tokens, &due.tokens) {
        Ok(tokens) => tokens,
        Err(error) => return told(&error, RefreshOutcome::Kept(Sureness::Unsure)),
    };
    match facts {
        Ok(None) => RefreshOutcome::Renewed { tokens, facts: None },
        Ok(Some(facts)) => match facts_of(facts, due) {
            Ok(facts) => RefreshOutcome::Renewed { tokens, facts: Some(facts) },
            Err(error) => told(&error, RefreshOutcome::Ended),
        },
        Err(error) if error.is_contradiction() => told(&error, RefreshOutcome::Ended),
        Err(error) => told(&error, RefreshOutcome::Renewed { tokens, facts: None }),
    }
}

const fn sureness(unsure: bool) -> Sureness {
    if unsure { Sureness::Unsure } else { Sureness::Sure }
}

/// The new tokens, and the old ones for what was not renewed.
///
/// # Errors
/// Tokens that could not be read back: too long.
fn renewed(new: RefreshedTokens, old: &Tokens) -> Result<Tokens, WireError> {
    let RefreshedTokens { access_token, refresh_token, id_token, expires_at } = new;
    let tokens = Tokens {
        access_token: Some(access_token),
        refresh_token: refresh_token.or_else(|| old.refresh_token.clone()),
        id_token: id_token.or_else(|| old.id_token.clone()),
        expires_at,
    };
    wire::tokens(wire::tokens_message(&tokens))
}

/// What the session says from now on.
///
/// # Errors
/// What no session can carry: it would stop every follower at this entry of the log.
fn facts_of(facts: RefreshedFacts, due: &Due) -> Result<Facts, WireError> {
    let RefreshedFacts { claims_json, email, name, groups } = facts;
    let user_id = Arc::clone(&due.principal.subject);
    let profile = Profile { user_id, email, name, groups };
    wire::check_facts(&profile, &claims_json)?;
    Ok(Facts { profile, claims_json })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::answer;

    #[tokio::test]
    async fn new_tokens_are_written_once_a_busy_broker_takes_them() {
        let (writes, commands) = Queue::new(1);
        writes.order(Command::Close);
        let mark = (SessionKey::from_bytes([1; 32]), 7);
        let outcome = RefreshOutcome::Renewed { tokens: Tokens::default(), facts: None };
        let broker = async {
            assert!(matches!(commands.try_recv(), Ok(Command::Close)), "the first try was refused");
            let next = tokio::task::spawn_blocking(move || commands.recv()).await.unwrap();
            let Ok(Command::FinishRefresh { mark, outcome: _, reply }) = next else { panic!("{next:?}") };
            answer(reply, Ok(()));
            mark
        };
        let (told, written) = tokio::join!(finish(&writes, mark, &outcome), broker);
        assert_eq!((told, written), ("renewed", mark));
    }
}
