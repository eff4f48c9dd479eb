//! The provider by its own protocol: each refused case beside its permitted twin.

use std::time::Duration;

use portcullis_identity::{ManualClock, Timestamp};
use serde_json::Value;
use url::Url;

use super::*;

const ORIGIN: &str = "https://auth.localhost:8443";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

/// A provider, a relying party and a browser in one.
struct Desk {
    provider: Provider,
    clock: Arc<ManualClock>,
    http: reqwest::Client,
    client: Client,
}

impl Desk {
    async fn open() -> Self {
        let client = Client::confidential("proxy", "s3cret", ORIGIN);
        let other = Client::confidential("other", "other-secret", "https://other.localhost");
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(1_790_000_000)));
        let parts = ProviderParts {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..ProviderParts::on_any_port(vec![client.clone(), other])
        };
        let provider = Provider::start(parts).await.unwrap();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { provider, clock, http, client }
    }

    fn challenge() -> String {
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VERIFIER.as_bytes()))
    }

    /// The authorization request with some parameters replaced; an empty value leaves one out.
    fn request(&self, changes: &[(&str, &str)]) -> Url {
        let challenge = Self::challenge();
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", "proxy"),
            ("redirect_uri", self.client.redirect_uris[0].as_str()),
            ("scope", "openid profile email groups"),
            ("state", "st"),
            ("nonce", "no"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in changes {
            parameters.retain(|(known, _)| known != name);
            parameters.push((name, value));
        }
        parameters.retain(|(_, value)| !value.is_empty());
        Url::parse_with_params(&format!("{}/authorize", self.provider.issuer()), parameters).unwrap()
    }

    /// Signs in and answers (cookie, where the browser is sent).
    async fn sign_in(&self, user: &str, changes: &[(&str, &str)]) -> (String, Url) {
        let body = format!("username={user}&password={user}");
        let answer = self.http.post(self.request(changes)).body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        (cookie, Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap())
    }

    async fn code(&self) -> String {
        field(&self.sign_in("alice", &[]).await.1, "code").unwrap()
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let url = format!("{}{path}", self.provider.issuer());
        let answer = self.http.post(url).basic_auth("proxy", Some("s3cret")).body(body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn exchange(&self, code: &str, changes: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.client.redirect_uris[0].as_str()),
            ("code_verifier", VERIFIER),
        ];
        for (name, value) in changes {
            form.retain(|(known, _)| known != name);
            form.push((name, value));
        }
        self.post("/token", &form).await
    }

    async fn userinfo(&self, token: &str) -> StatusCode {
        let url = format!("{}/userinfo", self.provider.issuer());
        self.http.get(url).bearer_auth(token).send().await.unwrap().status()
    }
}

fn field(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

#[tokio::test]
async fn sign_in_ends_at_the_client_with_code_state_and_issuer() {
    let desk = Desk::open().await;
    let (_, landed) = desk.sign_in("alice", &[]).await;
    assert!(landed.as_str().starts_with(&desk.client.redirect_uris[0]));
    assert_eq!(field(&landed, "state").as_deref(), Some("st"));
    assert_eq!(field(&landed, "iss").as_deref(), Some(desk.provider.issuer()));
    let (status, tokens) = desk.exchange(&field(&landed, "code").unwrap(), &[]).await;
    assert_eq!(status, StatusCode::OK);
    let claims = desk.provider.house.keys().recognise(text(&tokens, "id_token")).unwrap();
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["nonce"], "no");
    assert_eq!(claims["aud"], "proxy");
    assert_eq!(claims["groups"], json!(["admins", "engineering"]));
    assert_eq!(desk.userinfo(text(&tokens, "access_token")).await, StatusCode::OK);
    assert_eq!(desk.userinfo("forged").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_wrong_password_shows_the_form_again() {
    let desk = Desk::open().await;
    let answer = desk.http.post(desk.request(&[])).body("username=alice&password=bob").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.text().await.unwrap().contains("Wrong user name"));
    assert_eq!(desk.provider.sign_ins(), 0);
}

#[tokio::test]
async fn nothing_is_redirected_to_an_unregistered_address() {
    let desk = Desk::open().await;
    let cases = [[("redirect_uri", "https://evil.localhost/")], [("client_id", "nobody")], [("redirect_uri", "")]];
    for changes in &cases {
        let answer = desk.http.get(desk.request(changes)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(!answer.headers().contains_key("location"));
    }
}

#[tokio::test]
async fn faulty_requests_are_told_to_the_client() {
    let desk = Desk::open().await;
    let cases = [
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "profile"), "invalid_scope"),
        (("prompt", "none"), "login_required"),
    ];
    for (change, error) in cases {
        let answer = desk.http.get(desk.request(&[change])).send().await.unwrap();
        let landed = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        assert_eq!(field(&landed, "error").as_deref(), Some(error), "{change:?}");
        assert_eq!(field(&landed, "iss").as_deref(), Some(desk.provider.issuer()));
    }
}

#[tokio::test]
async fn a_live_session_needs_no_password_unless_one_is_asked_for() {
    let desk = Desk::open().await;
    let (cookie, _) = desk.sign_in("alice", &[]).await;
    let ask = async |changes: &[(&str, &str)]| {
        desk.http.get(desk.request(changes)).header("cookie", cookie.as_str()).send().await.unwrap().status()
    };
    assert_eq!(ask(&[]).await, StatusCode::SEE_OTHER);
    assert_eq!(ask(&[("prompt", "login")]).await, StatusCode::OK);
    assert_eq!(ask(&[("max_age", "60")]).await, StatusCode::SEE_OTHER);
    desk.clock.advance(Duration::from_secs(61));
    assert_eq!(ask(&[("max_age", "60")]).await, StatusCode::OK);
}

#[tokio::test]
async fn a_code_is_bound_and_survives_whoever_guesses_wrongly() {
    let desk = Desk::open().await;
    let code = desk.code().await;
    let wrong = [
        ("code_verifier", "another-verifier-of-at-least-forty-three-chars"),
        ("redirect_uri", "https://auth.localhost:8443/"),
        ("code", "guessed"),
    ];
    for change in wrong {
        let (status, error) = desk.exchange(&code, &[change]).await;
        assert_eq!((status, text(&error, "error")), (StatusCode::BAD_REQUEST, "invalid_grant"), "{change:?}");
    }
    assert_eq!(desk.exchange(&code, &[]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_code_used_twice_ends_what_it_gave() {
    let desk = Desk::open().await;
    let code = desk.code().await;
    let (_, tokens) = desk.exchange(&code, &[]).await;
    assert_eq!(desk.userinfo(text(&tokens, "access_token")).await, StatusCode::OK);
    assert_eq!(desk.exchange(&code, &[]).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(desk.userinfo(text(&tokens, "access_token")).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_code_lives_for_a_minute() {
    let desk = Desk::open().await;
    let (timely, late) = (desk.code().await, desk.code().await);
    desk.clock.advance(Duration::from_secs(59));
    assert_eq!(desk.exchange(&timely, &[]).await.0, StatusCode::OK);
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.exchange(&late, &[]).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_reused_refresh_token_ends_the_family() {
    let desk = Desk::open().await;
    let (_, first) = desk.exchange(&desk.code().await, &[]).await;
    let renew = async |tokens: &Value| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", text(tokens, "refresh_token"))];
        desk.post("/token", &form).await
    };
    let (status, second) = renew(&first).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(renew(&first).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(renew(&second).await.0, StatusCode::BAD_REQUEST, "the family must be gone");
}

#[tokio::test]
async fn a_closed_account_can_neither_sign_in_nor_refresh() {
    let desk = Desk::open().await;
    let (_, tokens) = desk.exchange(&desk.code().await, &[]).await;
    desk.provider.put_person(Person { enabled: false, ..Person::of_the_tour().remove(0) });
    let form = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
    assert_eq!(desk.post("/token", &form).await.0, StatusCode::BAD_REQUEST);
    let answer = desk.http.post(desk.request(&[])).body("username=alice&password=alice").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_client_must_know_its_secret() {
    let desk = Desk::open().await;
    let url = format!("{}/token", desk.provider.issuer());
    let wrong = desk.http.post(&url).basic_auth("proxy", Some("wrong")).body("grant_type=refresh_token");
    assert_eq!(wrong.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    // By form: the secret is right, so the code is what is wrong.
    let body = "grant_type=authorization_code&code=x&client_id=proxy&client_secret=s3cret";
    assert_eq!(desk.http.post(&url).body(body).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    let both = desk.http.post(&url).basic_auth("proxy", Some("s3cret")).body(body).send().await.unwrap();
    assert_eq!(both.json::<Value>().await.unwrap()["error"], "invalid_request");
}

#[tokio::test]
async fn revocation_ends_tokens_of_the_client_alone() {
    let desk = Desk::open().await;
    let (_, tokens) = desk.exchange(&desk.code().await, &[]).await;
    let access = text(&tokens, "access_token");
    let url = format!("{}/revoke", desk.provider.issuer());
    let foreign = desk.http.post(url).basic_auth("other", Some("other-secret")).body(format!("token={access}"));
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(desk.userinfo(access).await, StatusCode::OK);
    assert_eq!(desk.post("/revoke", &[("token", access)]).await.0, StatusCode::OK);
    assert_eq!(desk.userinfo(access).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn sign_out_ends_the_browser_session_and_returns_only_to_registered_addresses() {
    let desk = Desk::open().await;
    let (cookie, landed) = desk.sign_in("alice", &[]).await;
    let (_, tokens) = desk.exchange(&field(&landed, "code").unwrap(), &[]).await;
    let out = async |uri: &str| {
        let parameters =
            [("id_token_hint", text(&tokens, "id_token")), ("post_logout_redirect_uri", uri), ("state", "s")];
        let url = Url::parse_with_params(&format!("{}/logout", desk.provider.issuer()), parameters).unwrap();
        desk.http.get(url).header("cookie", cookie.as_str()).send().await.unwrap()
    };
    let back = out(&desk.client.post_logout_redirect_uris[0]).await;
    assert_eq!(back.headers()["location"], format!("{}?state=s", desk.client.post_logout_redirect_uris[0]).as_str());
    assert_eq!(out("https://evil.localhost/").await.status(), StatusCode::BAD_REQUEST);
    let again = desk.http.get(desk.request(&[])).header("cookie", cookie.as_str()).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::OK, "the form must be shown again");
}

#[tokio::test]
async fn rotated_keys_are_published_and_old_ones_kept_or_dropped() {
    let desk = Desk::open().await;
    let (_, tokens) = desk.exchange(&desk.code().await, &[]).await;
    let known = |desk: &Desk| desk.provider.house.keys().recognise(text(&tokens, "id_token")).is_some();
    desk.provider.rotate_keys(OldKeys::Kept).unwrap();
    assert!(known(&desk));
    desk.provider.rotate_keys(OldKeys::Dropped).unwrap();
    assert!(!known(&desk));
}

#[tokio::test]
async fn faults_last_until_they_are_healed() {
    let desk = Desk::open().await;
    let keys = format!("{}/jwks", desk.provider.issuer());
    desk.provider.inject(Fault {
        path: "/jwks".to_owned(),
        delay: Duration::ZERO,
        status: Some(StatusCode::SERVICE_UNAVAILABLE),
    });
    assert_eq!(desk.http.get(&keys).send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    desk.provider.heal();
    assert_eq!(desk.http.get(&keys).send().await.unwrap().status(), StatusCode::OK);
}
