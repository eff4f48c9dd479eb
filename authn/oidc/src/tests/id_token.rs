//! OpenID Connect Core 3.1.3.7, case by case.

use std::sync::Arc;
use std::time::Duration;

use portcullis_identity::{Needs, Timestamp};
use serde_json::{Value, json};

use super::provider::{CLIENT_ID, SUBJECT, Signing};
use super::{NOW, Pair};
use crate::{ExchangeError, IdTokenError};

async fn claims(patch: Value) -> Result<(), ExchangeError> {
    Pair::scripted(|script| script.claims = patch).await.map(drop)
}

fn refused<T>(outcome: &Result<T, ExchangeError>) -> Option<IdTokenError> {
    match outcome {
        Err(ExchangeError::IdToken(error)) => Some(*error),
        _ => None,
    }
}

#[tokio::test]
async fn each_claim_is_checked() {
    let permitted = [
        json!({}),
        json!({ "aud": [CLIENT_ID] }),
        json!({ "aud": [CLIENT_ID, "project"], "azp": CLIENT_ID }),
        json!({ "azp": CLIENT_ID }),
        json!({ "exp": NOW - 59 }),
        json!({ "iat": NOW + 59 }),
        json!({ "exp": 1_700_000_300.5 }),
        json!({ "at_hash": null }),
        json!({ "auth_time": null }),
        json!({ "sub": "ü" }),
        json!({ "sub": "s".repeat(255) }),
    ];
    for patch in permitted {
        let outcome = claims(patch.clone()).await;
        // `sub` must agree with userinfo; that it is another one here is userinfo's refusal, not the token's.
        assert!(refused(&outcome).is_none(), "{patch}");
    }
    let refusals = [
        (json!({ "iss": "https://other.test" }), IdTokenError::Issuer),
        (json!({ "iss": null }), IdTokenError::Malformed),
        (json!({ "aud": "other" }), IdTokenError::Audience),
        (json!({ "aud": null }), IdTokenError::Audience),
        (json!({ "aud": [CLIENT_ID, "project"] }), IdTokenError::Audience),
        (json!({ "aud": ["project"], "azp": CLIENT_ID }), IdTokenError::Audience),
        (json!({ "azp": "other" }), IdTokenError::AuthorizedParty),
        (json!({ "aud": [CLIENT_ID, "other"], "azp": "other" }), IdTokenError::AuthorizedParty),
        (json!({ "sub": null }), IdTokenError::Malformed),
        (json!({ "sub": "" }), IdTokenError::Subject),
        (json!({ "sub": "s".repeat(256) }), IdTokenError::Subject),
        (json!({ "sub": 5 }), IdTokenError::Malformed),
        (json!({ "iat": null }), IdTokenError::Malformed),
        (json!({ "iat": NOW + 61 }), IdTokenError::IssuedInFuture),
        (json!({ "exp": null }), IdTokenError::Malformed),
        (json!({ "exp": NOW - 60 }), IdTokenError::Expired),
        (json!({ "exp": -5 }), IdTokenError::Expired),
        (json!({ "exp": "soon" }), IdTokenError::Malformed),
        (json!({ "exp": 1e300 }), IdTokenError::Malformed),
        (json!({ "nonce": "other" }), IdTokenError::Nonce),
        (json!({ "nonce": null }), IdTokenError::Nonce),
        (json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }), IdTokenError::AccessTokenHash),
    ];
    for (patch, expected) in refusals {
        assert_eq!(refused(&claims(patch.clone()).await), Some(expected), "{patch}");
    }
}

#[tokio::test]
async fn only_the_providers_asymmetric_signatures_count() {
    for signing in [Signing::Es256, Signing::Rs256] {
        Pair::scripted(|script| script.signing = signing).await.unwrap();
    }
    // Without a `kid` the one key that fits the algorithm is meant.
    Pair::scripted(|script| script.signing = Signing::NoKid).await.unwrap();
    let refusals = [
        (Signing::Broken, IdTokenError::Signature),
        (Signing::None, IdTokenError::Algorithm),
        (Signing::Hs256Secret, IdTokenError::Algorithm),
        (Signing::Hs256PublicKey, IdTokenError::Algorithm),
        (Signing::Unpublished, IdTokenError::UnknownKey),
    ];
    for (signing, expected) in refusals {
        let outcome = Pair::scripted(|script| script.signing = signing).await;
        assert_eq!(refused(&outcome), Some(expected), "{signing:?}");
    }
}

#[tokio::test]
async fn what_was_asked_for_is_checked() {
    let fresh = Needs { max_age: Some(Duration::from_secs(30)), ..Needs::default() };
    let strong = Needs { acr: Arc::new(["strong".into(), "phishing-resistant".into()]), ..Needs::default() };
    let cases = [
        (&fresh, json!({ "auth_time": NOW - 30 }), None),
        (&fresh, json!({ "auth_time": NOW - 90 }), None), // 60 s of leeway
        (&fresh, json!({ "auth_time": NOW - 91 }), Some(IdTokenError::NotFresh)),
        (&fresh, json!({ "auth_time": NOW + 61 }), Some(IdTokenError::NotFresh)),
        (&fresh, json!({ "auth_time": null }), Some(IdTokenError::AuthTimeMissing)),
        (&strong, json!({ "acr": "phishing-resistant" }), None),
        (&strong, json!({ "acr": "password" }), Some(IdTokenError::AcrNotMet)),
        (&strong, json!({}), Some(IdTokenError::AcrNotMet)),
    ];
    for (needs, patch, expected) in cases {
        let pair = Pair::new().await;
        pair.provider.script(|script| script.claims = patch.clone());
        assert_eq!(refused(&pair.sign_in_for(needs).await), expected, "{patch}");
    }
}

#[tokio::test]
async fn the_time_of_authentication_is_the_providers_but_never_in_the_future() {
    let authenticated = async |patch| {
        let identity = Pair::scripted(|script| script.claims = patch).await.unwrap();
        identity.authenticated_at
    };
    let at = Timestamp::from_unix_seconds;
    assert_eq!(authenticated(json!({ "auth_time": NOW - 100 })).await, at(NOW - 100));
    assert_eq!(authenticated(json!({ "auth_time": null })).await, at(NOW));
    assert_eq!(authenticated(json!({ "auth_time": NOW + 50 })).await, at(NOW));
}

#[tokio::test]
async fn an_identity_says_who_signed_in_and_keeps_the_tokens_out_of_sight() {
    let pair = Pair::new().await;
    let identity = pair.sign_in().await.unwrap();
    assert_eq!((&*identity.principal.issuer, &*identity.principal.subject), (pair.provider.issuer(), SUBJECT));
    assert_eq!(identity.provider_session.as_deref(), Some("provider-session"));
    assert_eq!(identity.tokens.access_token.expose(), "access-token");
    assert_eq!(identity.tokens.refresh_token.as_ref().unwrap().expose(), "refresh-token");
    assert_eq!(identity.tokens.expires_at, Some(Timestamp::from_unix_seconds(NOW + 300)));
    let shown = format!("{identity:?}");
    assert!(!shown.contains("access-token") && !shown.contains("refresh-token"), "{shown}");
}
