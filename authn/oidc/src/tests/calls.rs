//! What goes over the wire: parameters, client authentication, caps, redirects, hostile words.

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::ClientAuth;
use portcullis_identity::Needs;
use serde_json::json;
use url::Url;

use super::provider::{CLIENT_ID, CLIENT_SECRET, Fault};
use super::{Pair, proof, request};
use crate::{
    Account, AuthorizationRequest, CallError, Callback, DiscoveryError, ExchangeError, LogoutRequest, OauthErrorCode,
    RevokeError, SafeText, UserinfoError,
};

#[tokio::test]
async fn the_authorization_request_has_what_makes_it_safe_and_nothing_overrules_it() {
    let pair = Pair::with(|provider| {
        let parameter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        provider.request_params = vec![
            parameter("prompt", "consent"),
            parameter("audience", "api"),
            parameter("state", "forged"),
            parameter("redirect_uri", "https://evil.test/"),
            parameter("code_challenge_method", "plain"),
        ];
    })
    .await;
    let needs =
        Needs { max_age: Some(Duration::from_secs(300)), acr: Arc::new(["a".into(), "b".into()]), ..Needs::default() };
    let (verifier, nonce) = (proof(1), proof(2));
    let url = pair.party.authorization_url(request(&verifier, &nonce, &needs)).await.unwrap();
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let all = |name: &str| pairs.iter().filter(|pair| pair.0 == name).map(|pair| pair.1.as_str()).collect::<Vec<_>>();
    assert_eq!(all("tenant"), ["1"], "the endpoint's own query stays");
    assert_eq!(all("response_type"), ["code"]);
    assert_eq!(all("client_id"), [CLIENT_ID]);
    assert_eq!(all("redirect_uri"), [super::REDIRECT_URI]);
    assert_eq!(all("scope"), ["openid email"]);
    assert_eq!(all("state"), ["st+te"]);
    assert_eq!(all("nonce"), [nonce.as_str()]);
    assert_eq!(all("code_challenge_method"), ["S256"]);
    assert_eq!(all("code_challenge").len(), 1);
    assert_eq!((all("max_age"), all("acr_values"), all("prompt")), (vec!["300"], vec!["a b"], vec!["consent"]));
    assert_eq!(all("audience"), ["api"]);
    assert!(!url.as_str().contains(&verifier));

    let chosen = AuthorizationRequest { account: Account::Chosen, ..request(&verifier, &nonce, &needs) };
    let url = pair.party.authorization_url(chosen).await.unwrap();
    assert!(url.as_str().contains("prompt=select_account") && !url.as_str().contains("prompt=consent"));
    let now = Needs { max_age: Some(Duration::ZERO), ..Needs::default() };
    let url = pair.party.authorization_url(request(&verifier, &nonce, &now)).await.unwrap();
    assert!(url.as_str().contains("prompt=login") && url.as_str().contains("max_age=0"));
}

#[tokio::test]
async fn the_client_authenticates_as_it_is_told() {
    let basic = Pair::new().await;
    basic.sign_in().await.unwrap();
    let seen = basic.provider.seen("/token");
    assert!(seen[0].authorization.as_ref().unwrap().starts_with("Basic "));
    assert!(!seen[0].form.contains_key("client_secret"));

    let post = Pair::with(|provider| provider.client_auth = Some(ClientAuth::Post)).await;
    post.sign_in().await.unwrap();
    let seen = post.provider.seen("/token");
    assert_eq!((seen[0].form["client_secret"].as_str(), seen[0].authorization.as_ref()), (CLIENT_SECRET, None));

    let announced = Pair::new().await;
    let only_post = json!({ "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"] });
    announced.provider.script(|script| script.metadata = only_post);
    announced.sign_in().await.unwrap();
    assert!(announced.provider.seen("/token")[0].form.contains_key("client_secret"));

    let public = Pair::with(|provider| provider.client_secret = None).await;
    public.sign_in().await.unwrap();
    let seen = public.provider.seen("/token");
    assert!(seen[0].form["client_id"] == CLIENT_ID && !seen[0].form.contains_key("client_secret"));
}

#[tokio::test]
async fn iss_is_compared_before_the_code_is_spent() {
    let outcome = async |announced: bool, iss: Option<&str>| {
        let pair = Pair::new().await;
        pair.provider.script(|script| {
            script.metadata = json!({ "authorization_response_iss_parameter_supported": announced });
        });
        let (verifier, nonce, needs) = (proof(1), proof(2), Needs::default());
        let url = pair.party.authorization_url(request(&verifier, &nonce, &needs)).await.unwrap();
        let back = pair.provider.authorize(&url);
        let code = back.query_pairs().find(|pair| pair.0 == "code").unwrap().1.into_owned();
        let own = pair.provider.issuer().to_owned();
        let iss = iss.map(|iss| if iss == "own" { own.as_str() } else { iss });
        let callback = Callback { code: &code, iss, verifier: &verifier, nonce: &nonce, needs: &needs };
        let result = pair.party.exchange(callback).await.map(drop);
        (result, pair.provider.seen("/token").len())
    };
    assert!(matches!(outcome(true, Some("own")).await, (Ok(()), 1)));
    assert!(matches!(outcome(false, Some("own")).await, (Ok(()), 1)));
    assert!(matches!(outcome(false, None).await, (Ok(()), 1)));
    assert!(matches!(outcome(true, None).await, (Err(ExchangeError::IssuerMissing), 0)));
    assert!(matches!(outcome(true, Some("https://b.test")).await, (Err(ExchangeError::IssuerMismatch), 0)));
    assert!(matches!(outcome(false, Some("https://b.test")).await, (Err(ExchangeError::IssuerMismatch), 0)));
}

#[tokio::test]
async fn a_code_works_once_and_only_with_its_verifier() {
    let pair = Pair::new().await;
    let (verifier, nonce, needs) = (proof(1), proof(2), Needs::default());
    let url = pair.party.authorization_url(request(&verifier, &nonce, &needs)).await.unwrap();
    let code = |back: Url| back.query_pairs().find(|pair| pair.0 == "code").unwrap().1.into_owned();
    let iss = pair.provider.issuer().to_owned();
    let exchange = async |code: &str, verifier: &str| {
        let callback = Callback { code, iss: Some(&iss), verifier, nonce: &nonce, needs: &needs };
        pair.party.exchange(callback).await.map(drop)
    };
    let good = code(pair.provider.authorize(&url));
    exchange(&good, &verifier).await.unwrap();
    let spent = exchange(&good, &verifier).await;
    assert!(matches!(spent, Err(ExchangeError::Refused { code: OauthErrorCode::InvalidGrant, .. })));
    let other = code(pair.provider.authorize(&url));
    let foreign = exchange(&other, &proof(9)).await;
    assert!(matches!(foreign, Err(ExchangeError::Refused { code: OauthErrorCode::InvalidGrant, .. })));
}

#[tokio::test]
async fn answers_are_capped_timed_and_never_followed_elsewhere() {
    let at = async |path, fault| {
        let pair = Pair::with(|provider| provider.transport.timeout = Duration::from_millis(500)).await;
        pair.provider.fault(path, fault);
        let url = pair.party.authorization_url(request(&proof(1), &proof(2), &Needs::default())).await.map(drop);
        match url {
            Err(error) => (Err(ExchangeError::from(error)), pair),
            Ok(()) => (pair.sign_in().await.map(drop), pair),
        }
    };
    for path in ["/.well-known/openid-configuration", "/jwks"] {
        let (outcome, _) = at(path, Fault::Huge).await;
        let too_large = DiscoveryError::Call {
            document: if path == "/jwks" { crate::Document::Keys } else { crate::Document::Metadata },
            source: CallError::TooLarge { limit: 100_000 },
        };
        let Err(ExchangeError::Discovery(error)) = outcome else { panic!("accepted {path}") };
        assert_eq!(format!("{error:?}"), format!("{too_large:?}"));
    }
    assert!(matches!(at("/token", Fault::Huge).await.0, Err(ExchangeError::Call(CallError::TooLarge { .. }))));
    assert!(matches!(at("/token", Fault::Hang).await.0, Err(ExchangeError::Call(CallError::TimedOut))));
    assert!(matches!(at("/token", Fault::Status(503)).await.0, Err(ExchangeError::Status { status: 503 })));
    let (huge, _) = at("/userinfo", Fault::Huge).await;
    assert!(matches!(huge, Err(ExchangeError::Userinfo(UserinfoError::Call(CallError::TooLarge { .. })))));
    let (slow, _) = at("/userinfo", Fault::Hang).await;
    assert!(matches!(slow, Err(ExchangeError::Userinfo(UserinfoError::Call(CallError::TimedOut)))));
    // A redirect is an answer like any other, and a wrong one.
    for path in ["/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"] {
        let (outcome, pair) = at(path, Fault::Redirect("/elsewhere".to_owned())).await;
        assert!(outcome.is_err(), "{path}");
        assert!(pair.provider.seen("/elsewhere").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn an_outage_is_told_from_a_refusal() {
    let at = async |fault| {
        let pair = Pair::new().await;
        pair.provider.fault("/token", fault);
        pair.sign_in().await.unwrap_err().is_outage()
    };
    assert!(at(Fault::Status(502)).await);
    assert!(at(Fault::Json(400, json!({ "error": "temporarily_unavailable" }))).await);
    assert!(!at(Fault::Json(400, json!({ "error": "invalid_client" }))).await);
    assert!(!at(Fault::Status(404)).await);
}

#[tokio::test]
async fn odd_token_answers_are_refused() {
    let at = async |patch| Pair::scripted(|script| script.tokens = patch).await.map(drop);
    at(json!({ "token_type": "Bearer", "expires_in": "300" })).await.unwrap();
    at(json!({ "expires_in": null, "refresh_token": null })).await.unwrap();
    assert!(matches!(at(json!({ "token_type": "mac" })).await, Err(ExchangeError::TokenType)));
    assert!(matches!(at(json!({ "id_token": null })).await, Err(ExchangeError::NoIdToken)));
    assert!(matches!(at(json!({ "access_token": null })).await, Err(ExchangeError::MalformedTokens)));
    assert!(matches!(at(json!({ "expires_in": "soon" })).await, Err(ExchangeError::MalformedTokens)));
    assert!(matches!(at(json!({ "expires_in": -1 })).await, Err(ExchangeError::MalformedTokens)));
    // A token that would end the header and begin another is not sent, and nobody panics.
    let split = at(json!({ "access_token": "a\r\nx: y", "refresh_token": null })).await;
    assert!(split.is_err());
}

#[tokio::test]
async fn a_providers_words_are_made_harmless() {
    let pair = Pair::new().await;
    let words = json!({ "error": "invalid_scope", "error_description": "no\r\n\u{202e}<script>" });
    pair.provider.fault("/token", Fault::Json(400, words));
    let Err(ExchangeError::Refused { code, description }) = pair.sign_in().await else { panic!("accepted") };
    assert_eq!((code, description.as_str()), (OauthErrorCode::InvalidScope, "no <script>"));
    assert_eq!(SafeText::new(&"x".repeat(500)).as_str().len(), 200);
}

#[tokio::test]
async fn sign_out_and_revocation_reach_the_provider() {
    let pair = Pair::new().await;
    let home = Url::parse("https://auth.corp.test/.portcullis/signed_out").unwrap();
    let request = LogoutRequest { id_token_hint: Some("hint"), post_logout_redirect_uri: &home, state: Some("s") };
    let url = pair.party.logout_url(request).await.unwrap();
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let expected = [
        ("id_token_hint", "hint"),
        ("client_id", CLIENT_ID),
        ("post_logout_redirect_uri", home.as_str()),
        ("state", "s"),
    ];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));

    pair.party.revoke("access-token", "access_token").await.unwrap();
    let seen = pair.provider.seen("/revoke");
    assert_eq!(
        (seen[0].form["token"].as_str(), seen[0].form["token_type_hint"].as_str()),
        ("access-token", "access_token")
    );
    assert!(seen[0].authorization.is_some());
    pair.provider.fault("/revoke", Fault::Status(500));
    assert!(matches!(pair.party.revoke("t", "access_token").await, Err(RevokeError::Status { status: 500 })));

    let plain = Pair::new().await;
    plain.provider.script(|script| {
        script.metadata = json!({ "end_session_endpoint": null, "revocation_endpoint": null });
    });
    assert!(plain.party.logout_url(request).await.is_none());
    assert!(matches!(plain.party.revoke("t", "access_token").await, Err(RevokeError::Unsupported)));
}
