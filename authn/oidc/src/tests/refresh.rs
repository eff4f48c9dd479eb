//! New tokens for old, and what the provider says by then.

use serde_json::{Value, json};

use super::Pair;
use super::provider::{Fault, SUBJECT, Script, Signing};
use crate::{Held, Identity, RefreshError, Refreshed, RefreshedFacts};

/// Signs in, and refreshes at a provider that follows `change` by then.
async fn refreshed(change: impl FnOnce(&mut Script)) -> (Identity, Result<Refreshed, RefreshError>) {
    let pair = Pair::new().await;
    let identity = pair.sign_in().await.unwrap();
    pair.provider.script(change);
    let answer = refresh(&pair, &identity, "refresh-token", SUBJECT).await;
    (identity, answer)
}

async fn refresh(pair: &Pair, identity: &Identity, token: &str, subject: &str) -> Result<Refreshed, RefreshError> {
    let held = Held {
        issuer: &identity.principal.issuer,
        subject,
        refresh_token: token,
        id_token: Some(identity.tokens.id_token.expose()),
    };
    pair.party.refresh(held).await
}

fn groups(facts: &RefreshedFacts) -> Vec<String> {
    facts.groups.iter().flat_map(|groups| groups.iter()).map(|group| group.id.to_string()).collect()
}

#[tokio::test]
async fn a_refresh_brings_new_tokens_and_what_the_provider_says_by_now() {
    let (_, answer) = refreshed(|script| script.claims = json!({ "groups": ["staff"], "level": 7 })).await;
    let Refreshed { tokens, facts } = answer.unwrap();
    assert_eq!(tokens.refresh_token.unwrap().expose(), "refresh-token+1");
    assert!(tokens.id_token.is_some() && tokens.expires_at.is_some());
    let facts = facts.unwrap().unwrap();
    assert_eq!((groups(&facts), &*facts.email), (vec!["staff".to_owned()], "alice@corp.test"));
    assert!(facts.claims_json.contains("\"level\":7"));
}

#[tokio::test]
async fn without_a_new_id_token_userinfo_counts_before_the_old_one() {
    let (_, answer) = refreshed(|script| {
        script.tokens = json!({ "id_token": null, "refresh_token": null });
        script.userinfo = json!({ "groups": ["guests"], "email": "alice@new.test" });
    })
    .await;
    let Refreshed { tokens, facts } = answer.unwrap();
    assert!(tokens.refresh_token.is_none() && tokens.id_token.is_none());
    let facts = facts.unwrap().unwrap();
    assert_eq!((groups(&facts), &*facts.email), (vec!["guests".to_owned()], "alice@new.test"));
    // What only a signed token may say stays as it said it.
    assert!(facts.claims_json.contains("\"sid\":\"provider-session\""));
    let (_, answer) = refreshed(|script| script.tokens = json!({ "id_token": null })).await;
    let facts = answer.unwrap().facts.unwrap().unwrap();
    assert_eq!(groups(&facts), ["admins", "staff"], "what nobody speaks of stays");
}

#[tokio::test]
async fn what_contradicts_the_session_is_no_outage_and_what_fails_is() {
    let patch = |claims: Value, userinfo: Value| {
        move |script: &mut Script| (script.claims, script.userinfo) = (claims, userinfo)
    };
    for (claims, userinfo, contradiction) in [
        (json!({ "sub": "somebody-else" }), json!({ "sub": "somebody-else" }), true),
        (json!({}), json!({ "sub": "somebody-else" }), true),
        (json!({ "aud": "another" }), json!({}), true),
        (json!({ "groups": 5 }), json!({}), true),
    ] {
        let (_, answer) = refreshed(patch(claims.clone(), userinfo)).await;
        let Refreshed { tokens, facts } = answer.unwrap();
        assert_eq!(facts.unwrap_err().is_contradiction(), contradiction, "{claims}");
        assert!(tokens.refresh_token.is_some(), "the new refresh token is never lost");
    }
    // A provider whose new key is not published yet: what cannot be checked is neither believed nor held against anybody.
    let (_, answer) = refreshed(|script| script.signing = Signing::Unpublished).await;
    let Refreshed { tokens, facts } = answer.unwrap();
    assert!(!facts.unwrap_err().is_contradiction() && tokens.id_token.is_none() && tokens.refresh_token.is_some());
    let fault = |fault: Fault| move |script: &mut Script| drop(script.faults.insert("/userinfo", fault));
    let (_, answer) = refreshed(fault(Fault::Status(503))).await;
    let Refreshed { tokens, facts } = answer.unwrap();
    assert!(!facts.unwrap_err().is_contradiction() && tokens.refresh_token.is_some() && tokens.id_token.is_some());
}

#[tokio::test]
async fn refusals_tell_whether_the_grant_is_over() {
    let refused = |code: &str| Fault::Json(400, json!({ "error": code }));
    for (fault, over, unsure) in [
        (refused("invalid_grant"), true, false),
        (refused("invalid_client"), false, false),
        (refused("temporarily_unavailable"), false, false),
        (refused("server_error"), false, true),
        (Fault::Status(503), false, false),
        (Fault::Status(502), false, true),
        (Fault::Json(200, json!({ "token_type": "bearer" })), false, true),
        (Fault::Huge, false, true),
    ] {
        let (_, answer) = refreshed(|script| drop(script.faults.insert("/token", fault.clone()))).await;
        let error = answer.unwrap_err();
        assert_eq!((error.is_end_of_grant(), error.is_unsure()), (over, unsure), "{fault:?}");
        assert!(!error.is_contradiction());
    }
    let pair = Pair::new().await;
    let identity = pair.sign_in().await.unwrap();
    assert!(refresh(&pair, &identity, "refresh-token", SUBJECT).await.is_ok());
    assert!(refresh(&pair, &identity, "refresh-token", SUBJECT).await.unwrap_err().is_end_of_grant(), "spent");
}

#[tokio::test]
async fn a_session_of_another_issuer_or_subject_is_not_refreshed() {
    let pair = Pair::new().await;
    let mut identity = pair.sign_in().await.unwrap();
    let answer = refresh(&pair, &identity, "refresh-token", "another").await.unwrap();
    assert!(answer.facts.unwrap_err().is_contradiction());
    identity.principal.issuer = "https://another.test".into();
    let error = refresh(&pair, &identity, &pair.provider.refresh_token(), SUBJECT).await.unwrap_err();
    assert!(matches!(error, RefreshError::OtherIssuer));
}
