//! Metadata and keys: when they are fetched, refused, renewed and kept.

use std::time::Duration;

use serde_json::json;

use super::provider::{Fault, Signing};
use super::{Pair, configured, proof, request};
use crate::{
    CallError, DiscoveryError, Document, ExchangeError, IdTokenError, KEY_REFRESH_PAUSE, METADATA_MAX_AGE,
    ProviderStatus,
};
use portcullis_identity::Needs;

const METADATA: &str = "/.well-known/openid-configuration";

async fn url(pair: &Pair) -> Result<(), DiscoveryError> {
    pair.party.authorization_url(request(&proof(1), &proof(2), &Needs::default())).await.map(drop)
}

#[tokio::test]
async fn nothing_is_fetched_before_it_is_needed_and_then_once() {
    let pair = Pair::new().await;
    assert_eq!(pair.party.status(), ProviderStatus::NeverContacted);
    assert!(pair.provider.seen(METADATA).is_empty());
    let (one, two, three) = tokio::join!(url(&pair), url(&pair), url(&pair));
    for outcome in [one, two, three] {
        outcome.unwrap();
    }
    assert_eq!((pair.provider.seen(METADATA).len(), pair.provider.seen("/jwks").len()), (1, 1));
    assert!(matches!(pair.party.status(), ProviderStatus::Reachable { .. }));
}

#[tokio::test]
async fn the_issuer_and_the_endpoints_are_judged() {
    let judged = async |patch| {
        let pair = Pair::new().await;
        pair.provider.script(|script| script.metadata = patch);
        url(&pair).await
    };
    judged(json!({ "end_session_endpoint": null, "claims_supported": ["x"] })).await.unwrap();
    judged(json!({ "token_endpoint": "https://elsewhere.test/token" })).await.unwrap();
    let mismatch = judged(json!({ "issuer": "https://evil.test" })).await;
    assert!(matches!(mismatch, Err(DiscoveryError::IssuerMismatch { .. })));
    for endpoint in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "revocation_endpoint"]
    {
        let plain = judged(json!({ endpoint: "http://elsewhere.test/" })).await;
        assert!(matches!(plain, Err(DiscoveryError::InsecureEndpoint { endpoint: found }) if found == endpoint));
    }
    let script = judged(json!({ "authorization_endpoint": "javascript:alert(1)" })).await;
    assert!(matches!(script, Err(DiscoveryError::InsecureEndpoint { .. })));
    assert!(matches!(judged(json!({ "token_endpoint": null })).await, Err(DiscoveryError::NoEndpoint { .. })));
    assert!(matches!(judged(json!({ "jwks_uri": null })).await, Err(DiscoveryError::Malformed { .. })));
}

#[tokio::test]
async fn an_issuer_with_a_path_is_compared_exactly() {
    let found = async |configured_path: &str, published_path: &str| {
        let pair = Pair::with(|provider| provider.issuer = provider.issuer.join(configured_path).unwrap()).await;
        let issuer = pair.provider.issuer();
        let text = json!({
            "issuer": format!("{issuer}{published_path}"), "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        pair.provider.fault("/realm/.well-known/openid-configuration", Fault::Json(200, text.clone()));
        pair.provider.fault(METADATA, Fault::Json(200, text));
        url(&pair).await.is_ok()
    };
    assert!(found("/realm", "/realm").await);
    assert!(found("/realm/", "/realm/").await);
    assert!(!found("/realm", "/realm/").await);
    assert!(!found("/realm/", "/realm").await);
    assert!(found("/", "").await && found("/", "/").await);
    assert!(!found("/", "/realm").await);
}

#[tokio::test]
async fn keys_nobody_can_read_are_skipped() {
    Pair::scripted(|script| script.odd_keys = true).await.unwrap();
}

#[tokio::test]
async fn rotated_keys_are_fetched_once_and_then_not_for_a_while() {
    let pair = Pair::new().await;
    pair.sign_in().await.unwrap();
    pair.provider.rotate("second");
    pair.sign_in().await.unwrap();
    assert_eq!(pair.provider.seen("/jwks").len(), 2);
    // Tokens that nobody can check do not make us ask again and again.
    pair.provider.rotate("third");
    for _ in 0..3 {
        let refused = pair.sign_in().await;
        assert!(matches!(refused, Err(ExchangeError::IdToken(IdTokenError::UnknownKey))));
    }
    assert_eq!(pair.provider.seen("/jwks").len(), 2);
    pair.advance(KEY_REFRESH_PAUSE);
    pair.sign_in().await.unwrap();
    assert_eq!(pair.provider.seen("/jwks").len(), 3);
}

#[tokio::test]
async fn a_broken_signature_asks_for_keys_once_and_stays_refused() {
    let pair = Pair::new().await;
    pair.provider.script(|script| script.signing = Signing::Broken);
    for _ in 0..2 {
        let refused = pair.sign_in().await;
        assert!(matches!(refused, Err(ExchangeError::IdToken(IdTokenError::Signature))));
    }
    assert_eq!(pair.provider.seen("/jwks").len(), 2);
}

#[tokio::test]
async fn what_is_known_outlives_the_provider() {
    let pair = Pair::new().await;
    url(&pair).await.unwrap();
    pair.provider.fault(METADATA, Fault::Status(503));
    pair.advance(METADATA_MAX_AGE);
    url(&pair).await.unwrap();
    url(&pair).await.unwrap();
    assert_eq!(pair.provider.seen(METADATA).len(), 2, "one renewal was tried, the next waits");
    assert!(matches!(pair.party.status(), ProviderStatus::Failing { .. }));
    pair.advance(crate::STALE_RETRY_PAUSE);
    pair.provider.script(|script| script.faults.clear());
    url(&pair).await.unwrap();
    assert_eq!(pair.provider.seen(METADATA).len(), 3);
    assert!(matches!(pair.party.status(), ProviderStatus::Reachable { .. }));
}

#[tokio::test]
async fn a_provider_that_is_down_at_first_is_found_later() {
    let pair = Pair::new().await;
    pair.provider.fault(METADATA, Fault::Status(500));
    let down = url(&pair).await;
    assert!(matches!(down, Err(DiscoveryError::Status { document: Document::Metadata, status: 500 })));
    let ProviderStatus::Failing { reason, .. } = pair.party.status() else { panic!("not failing") };
    assert_eq!(&*reason, "metadata: server_error");
    pair.provider.script(|script| script.faults.clear());
    url(&pair).await.unwrap();
}

#[tokio::test]
async fn a_hanging_provider_costs_everybody_one_deadline() {
    let pair = Pair::with(|provider| provider.transport.timeout = Duration::from_millis(200)).await;
    pair.provider.fault(METADATA, Fault::Hang);
    let (one, two, three) = tokio::join!(url(&pair), url(&pair), url(&pair));
    for outcome in [one, two, three] {
        let timed_out = matches!(outcome, Err(DiscoveryError::Call { source: CallError::TimedOut, .. }));
        assert!(timed_out);
    }
    assert_eq!(pair.provider.seen(METADATA).len(), 1, "they shared one attempt");
}

#[tokio::test]
async fn unchanged_settings_keep_what_was_learnt() {
    let pair = Pair::new().await;
    let redirect_uri = super::REDIRECT_URI.parse().unwrap();
    let mut provider = configured(&pair.provider);
    assert!(pair.party.serves(&provider, &redirect_uri));
    provider.scopes.push("groups".to_owned());
    assert!(!pair.party.serves(&provider, &redirect_uri));
    assert!(!pair.party.serves(&configured(&pair.provider), &"https://other.test/".parse().unwrap()));
}
