//! Userinfo, merged claims, and the fields that they fill.

use portcullis_config::Provider;
use portcullis_identity::MAX_CLAIMS_BYTES;
use serde_json::{Value, json};

use super::Pair;
use super::provider::{CLIENT_ID, Fault, SUBJECT, Signing};
use crate::{ClaimsError, ExchangeError, Identity, UserinfoError};

async fn told(userinfo: Value) -> Result<Identity, ExchangeError> {
    Pair::scripted(|script| script.userinfo = userinfo).await
}

async fn mapped(
    configure: impl FnOnce(&mut Provider),
    claims: Value,
    userinfo: Value,
) -> Result<Identity, ExchangeError> {
    let pair = Pair::with(configure).await;
    pair.provider.script(|script| {
        script.claims = claims;
        script.userinfo = userinfo;
    });
    pair.sign_in().await
}

fn groups(identity: &Identity) -> Option<Vec<&str>> {
    identity.groups.as_ref().map(|groups| groups.iter().map(|group| &*group.id).collect())
}

#[tokio::test]
async fn userinfo_must_speak_about_the_same_subject() {
    assert_eq!(&*told(json!({})).await.unwrap().email, "alice@corp.test");
    for patch in [json!({ "sub": "somebody-else" }), json!({ "sub": null }), json!({ "sub": [SUBJECT] })] {
        let refused = told(patch).await;
        assert!(matches!(refused, Err(ExchangeError::Userinfo(UserinfoError::SubjectMismatch))));
    }
    let down = Pair::new().await;
    down.provider.fault("/userinfo", Fault::Status(500));
    assert!(down.sign_in().await.unwrap_err().is_outage());
    let none = Pair::scripted(|script| script.metadata = json!({ "userinfo_endpoint": null })).await.unwrap();
    assert_eq!(&*none.email, "");
}

#[tokio::test]
async fn signed_userinfo_is_verified() {
    let signed = async |signing, patch| {
        let pair = Pair::new().await;
        pair.provider.script(|script| script.metadata = json!({}));
        // The ID token of the first answer is good; only userinfo is signed in another way.
        pair.sign_in().await.unwrap();
        pair.provider.script(|script| {
            script.signed_userinfo = true;
            script.signing = signing;
            script.userinfo = patch;
        });
        pair.sign_in().await.map(drop)
    };
    signed(Signing::Es256, json!({})).await.unwrap();
    signed(Signing::Rs256, json!({ "aud": [CLIENT_ID] })).await.unwrap();
    let other_client = signed(Signing::Es256, json!({ "aud": "other" })).await;
    assert!(matches!(other_client, Err(ExchangeError::Userinfo(UserinfoError::Audience))));
    let other_issuer = signed(Signing::Es256, json!({ "iss": "https://other.test" })).await;
    assert!(matches!(other_issuer, Err(ExchangeError::Userinfo(UserinfoError::Issuer))));
    let unsigned = Pair::new().await;
    unsigned.provider.script(|script| script.signed_userinfo = true);
    unsigned.sign_in().await.unwrap();
}

#[test]
fn other_signatures_of_userinfo_are_refused() {
    use crate::signature::{Unverified, verified_payload};
    let keys = openidconnect::core::CoreJsonWebKeySet::new(Vec::new());
    let token = |header: &str| {
        use base64::Engine;
        let encode = |text: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", encode(header), encode(r#"{"sub":"x"}"#), encode("sig"))
    };
    let cases = [
        (token(r#"{"alg":"none"}"#), Unverified::Signature),
        (token(r#"{"alg":"HS256"}"#), Unverified::Signature),
        (token(r#"{"alg":"ES256","crit":["b64"]}"#), Unverified::Signature),
        (token(r#"{"alg":"ES256"}"#), Unverified::UnknownKey),
        ("no.token".to_owned(), Unverified::Malformed),
    ];
    for (token, expected) in cases {
        assert_eq!(verified_payload(&token, &keys), Err(expected), "{token}");
    }
}

#[tokio::test]
async fn the_id_token_wins_and_alone_speaks_of_the_sign_in() {
    let claims = json!({ "name": "Token Name", "acr": "password" });
    let userinfo = json!({
        "name": "Userinfo Name", "acr": "strong", "sid": "forged", "iss": "https://forged.test", "team": "blue",
    });
    let identity = mapped(|_| {}, claims, userinfo).await.unwrap();
    let kept: Value = serde_json::from_str(&identity.claims_json).unwrap();
    assert_eq!((&*identity.name, kept["team"].as_str()), ("Token Name", Some("blue")));
    assert_eq!((identity.acr.as_deref(), kept["acr"].as_str()), (Some("password"), Some("password")));
    assert_eq!(
        (identity.provider_session.as_deref(), kept["sid"].as_str()),
        (Some("provider-session"), Some("provider-session"))
    );
    assert_ne!(kept["iss"].as_str(), Some("https://forged.test"));
    for name in ["nonce", "at_hash", "exp", "iat"] {
        assert!(kept.get(name).is_none(), "{name} is about the token");
    }
    // An address and the word on it come from one source.
    let pair = mapped(|_| {}, json!({ "email": "x@other.test" }), json!({})).await.unwrap();
    let kept: Value = serde_json::from_str(&pair.claims_json).unwrap();
    assert_eq!((kept["email"].as_str(), kept.get("email_verified")), (Some("x@other.test"), None));
}

#[tokio::test]
async fn numbers_keep_every_digit() {
    let text = r#"{"sub":"248289761001","employee":12345678901234567890123}"#;
    let pair = Pair::new().await;
    pair.provider.fault(
        "/userinfo",
        Fault::Json(200, serde_json::from_str(r#"{"sub":"248289761001","employee":18446744073709551615}"#).unwrap()),
    );
    assert!(pair.sign_in().await.unwrap().claims_json.contains("18446744073709551615"));
    let raw = crate::claims::RawClaims::parse(text.as_bytes()).unwrap();
    let merged = crate::claims::RawClaims::merged(raw, crate::claims::RawClaims::default());
    let mapping = super::configured_mapping();
    assert!(crate::claims::map(&merged, &mapping).unwrap().claims_json.contains("12345678901234567890123"));
}

#[tokio::test]
async fn groups_are_a_list_or_one_text_and_never_silently_none() {
    let with = async |claims| mapped(|_| {}, claims, json!({})).await;
    assert_eq!(groups(&with(json!({})).await.unwrap()), Some(vec!["admins", "staff"]));
    assert_eq!(groups(&with(json!({ "groups": "staff" })).await.unwrap()), Some(vec!["staff"]));
    assert_eq!(groups(&with(json!({ "groups": [] })).await.unwrap()), Some(Vec::new()));
    assert_eq!(groups(&with(json!({ "groups": null })).await.unwrap()), None);
    let nested = json!({ "groups": null, "realm_access": { "roles": ["r1"] } });
    let by_path = mapped(|provider| provider.claims.groups = "realm_access.roles".to_owned(), nested, json!({})).await;
    assert_eq!(groups(&by_path.unwrap()), Some(vec!["r1"]));
    for odd in [json!({ "groups": 5 }), json!({ "groups": [1] }), json!({ "groups": { "a": 1 } })] {
        let refused = with(odd).await;
        assert!(matches!(refused, Err(ExchangeError::Claims(ClaimsError::GroupsUnreadable { .. }))));
    }
    let overage = json!({
        "groups": null, "_claim_names": { "groups": "src1" }, "_claim_sources": { "src1": { "endpoint": "https://g" } },
    });
    let refused = with(overage).await;
    assert!(matches!(refused, Err(ExchangeError::Claims(ClaimsError::GroupOverage { .. }))));
}

#[tokio::test]
async fn a_verified_address_is_the_boolean_true() {
    let strict =
        async |userinfo| mapped(|provider| provider.claims.require_verified_email = true, json!({}), userinfo).await;
    strict(json!({ "email_verified": true })).await.unwrap();
    for odd in [json!("true"), json!(1), json!(false), json!(null)] {
        let refused = strict(json!({ "email_verified": odd })).await;
        assert!(matches!(refused, Err(ExchangeError::Claims(ClaimsError::EmailNotVerified))), "{odd}");
    }
    told(json!({ "email_verified": false })).await.unwrap();
}

#[tokio::test]
async fn claims_have_a_bound() {
    let of = |bytes: usize| json!({ "filler": "x".repeat(bytes) });
    told(of(MAX_CLAIMS_BYTES - 2000)).await.unwrap();
    let refused = told(of(MAX_CLAIMS_BYTES)).await;
    assert!(matches!(refused, Err(ExchangeError::Claims(ClaimsError::TooLarge { bytes })) if bytes > MAX_CLAIMS_BYTES));
}
