//! An OpenID Provider on a port of its own that misbehaves on demand; used by the tests of two crates.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{digest, hmac, rsa};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use url::{Url, form_urlencoded};

pub(crate) const CLIENT_ID: &str = "portcullis client";
pub(crate) const CLIENT_SECRET: &str = "s3cr:t/ä";
pub(crate) const SUBJECT: &str = "248289761001";

/// What a test wants the provider to do differently. Objects are patches: a null takes a member away.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) metadata: Value,
    pub(crate) claims: Value,
    pub(crate) userinfo: Value,
    pub(crate) tokens: Value,
    pub(crate) signing: Signing,
    /// Whether the key set has something in it that nobody can read.
    pub(crate) odd_keys: bool,
    /// The userinfo endpoint signs its answer.
    pub(crate) signed_userinfo: bool,
    pub(crate) faults: BTreeMap<&'static str, Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signing {
    Es256,
    Rs256,
    /// Right key and `kid`, wrong signature.
    Broken,
    /// Unsigned (RFC 7518, 3.6).
    None,
    /// With the client secret as the key.
    Hs256Secret,
    /// With the public key as the key.
    Hs256PublicKey,
    /// No `kid` in the header.
    NoKid,
    /// With a key that the provider does not publish.
    Unpublished,
}

#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Status(u16),
    Json(u16, Value),
    /// An answer larger than any cap.
    Huge,
    /// No answer at all.
    Hang,
    /// The answer, when the other side has met the request and let it go.
    Held(Arc<Barrier>),
    Redirect(String),
}

impl Default for Script {
    fn default() -> Self {
        Self {
            metadata: json!({}),
            claims: json!({}),
            userinfo: json!({}),
            tokens: json!({}),
            signing: Signing::Es256,
            odd_keys: false,
            signed_userinfo: false,
            faults: BTreeMap::new(),
        }
    }
}

struct Keys {
    kid: String,
    ec: EcdsaKeyPair,
}

/// One for all providers and names: making it is the slowest part of any test.
static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap());

#[derive(Clone, Debug)]
struct Grant {
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

/// What was asked of the provider: path, `Authorization`, form fields.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) form: BTreeMap<String, String>,
}

struct State {
    issuer: String,
    script: Mutex<Script>,
    keys: Mutex<Arc<Keys>>,
    unpublished: Keys,
    grants: Mutex<BTreeMap<String, Grant>>,
    /// The one refresh token that is good: spent by each use.
    refresh_token: Mutex<String>,
    seen: Mutex<Vec<Seen>>,
    now: Mutex<i64>,
}

/// The provider. It stops with the test's runtime.
pub(crate) struct FakeProvider {
    state: Arc<State>,
}

impl FakeProvider {
    pub(crate) async fn start(now_seconds: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let state = Arc::new(State {
            issuer: format!("http://{address}"),
            script: Mutex::default(),
            keys: Mutex::new(Arc::new(Keys::new("first"))),
            unpublished: Keys::new("unpublished"),
            grants: Mutex::default(),
            refresh_token: Mutex::new("refresh-token".to_owned()),
            seen: Mutex::default(),
            now: Mutex::new(now_seconds),
        });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&serving);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&state), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { state }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.state.issuer
    }

    pub(crate) fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut lock(&self.state.script));
    }

    pub(crate) fn fault(&self, path: &'static str, fault: Fault) {
        lock(&self.state.script).faults.insert(path, fault);
    }

    /// New keys under a new name; the old ones are gone.
    pub(crate) fn rotate(&self, kid: &str) {
        *lock(&self.state.keys) = Arc::new(Keys::new(kid));
    }

    pub(crate) fn set_now(&self, now_seconds: i64) {
        *lock(&self.state.now) = now_seconds;
    }

    /// The person signs in: where the provider would send their browser.
    pub(crate) fn authorize(&self, url: &Url) -> Url {
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["client_id"], CLIENT_ID);
        let mut code = [0; 16];
        aws_lc_rs::rand::fill(&mut code).unwrap();
        let code = BASE64_URL_SAFE_NO_PAD.encode(code);
        let grant = Grant {
            nonce: query["nonce"].clone(),
            challenge: query["code_challenge"].clone(),
            redirect_uri: query["redirect_uri"].clone(),
        };
        lock(&self.state.grants).insert(code.clone(), grant);
        let mut back = Url::parse(&query["redirect_uri"]).unwrap();
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &query["state"])
            .append_pair("iss", &self.state.issuer);
        back
    }

    /// The refresh token that is good by now.
    pub(crate) fn refresh_token(&self) -> String {
        lock(&self.state.refresh_token).clone()
    }

    /// Whatever refresh token anybody has is good no more.
    pub(crate) fn end_grant(&self) {
        lock(&self.state.refresh_token).push_str("-ended");
    }

    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        lock(&self.state.seen).iter().filter(|seen| seen.path == path).cloned().collect()
    }
}

impl Keys {
    fn new(kid: &str) -> Self {
        Self { kid: kid.to_owned(), ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    fn published(&self) -> Vec<Value> {
        let point = self.ec.public_key().as_ref();
        let rsa = RSA.public_key();
        vec![
            json!({
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": format!("{}-ec", self.kid),
                "x": encode(&point[1..33]), "y": encode(&point[33..65]),
            }),
            json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": format!("{}-rsa", self.kid),
                "n": encode(rsa.modulus().big_endian_without_leading_zero()),
                "e": encode(rsa.exponent().big_endian_without_leading_zero()),
            }),
        ]
    }

    fn sign(&self, claims: &Value, signing: Signing) -> String {
        let (alg, kid) = match signing {
            Signing::Rs256 => ("RS256", Some(format!("{}-rsa", self.kid))),
            Signing::Es256 | Signing::Broken | Signing::Unpublished => ("ES256", Some(format!("{}-ec", self.kid))),
            Signing::NoKid => ("ES256", None),
            Signing::None => ("none", None),
            Signing::Hs256Secret | Signing::Hs256PublicKey => ("HS256", Some(format!("{}-ec", self.kid))),
        };
        let mut header = json!({ "alg": alg, "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let mac =
            |key: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes()).as_ref().to_vec();
        let ec = || self.ec.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec();
        let signature = match signing {
            Signing::Es256 | Signing::NoKid | Signing::Unpublished => ec(),
            Signing::Broken => {
                let mut signature = ec();
                signature[10] ^= 1;
                signature
            }
            Signing::Rs256 => {
                let mut signature = vec![0; RSA.public_modulus_len()];
                let random = SystemRandom::new();
                RSA.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Signing::None => Vec::new(),
            Signing::Hs256Secret => mac(CLIENT_SECRET.as_bytes()),
            Signing::Hs256PublicKey => mac(self.ec.public_key().as_ref()),
        };
        format!("{message}.{}", encode(&signature))
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let form: BTreeMap<_, _> = form_urlencoded::parse(&body).into_owned().collect();
    let seen = Seen { path: path.clone(), authorization, form };
    lock(&state.seen).push(seen.clone());
    let fault = lock(&state.script).faults.get(path.as_str()).cloned();
    Ok(match fault {
        None => respond(&state, &seen),
        Some(Fault::Status(status)) => text(status, "text/plain", "no"),
        Some(Fault::Json(status, value)) => text(status, "application/json", &value.to_string()),
        Some(Fault::Huge) => text(200, "application/json", &" ".repeat(200_000)),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Held(gate)) => {
            gate.wait().await;
            gate.wait().await;
            respond(&state, &seen)
        }
        Some(Fault::Redirect(to)) => {
            let mut response = text(302, "text/plain", "");
            response.headers_mut().insert("location", to.parse().unwrap());
            response
        }
    })
}

fn respond(state: &State, seen: &Seen) -> Response<Full<Bytes>> {
    let script = lock(&state.script).clone();
    let keys = Arc::clone(&lock(&state.keys));
    let json = |value: &Value| text(200, "application/json", &value.to_string());
    match seen.path.as_str() {
        "/.well-known/openid-configuration" => json(&patched(metadata(&state.issuer), &script.metadata)),
        "/jwks" => {
            let mut published = keys.published();
            if script.odd_keys {
                published.insert(0, json!({ "kty": "EC", "crv": "P-256", "kid": 5, "x": "!" }));
                published.insert(0, json!({ "kty": "quantum", "kid": "q", "use": "sig" }));
                published.push(json!("not a key"));
            }
            json(&json!({ "keys": published }))
        }
        "/token" => token(state, seen, &script, &keys),
        "/userinfo" => {
            let told = json!({ "sub": SUBJECT, "email": "alice@corp.test", "email_verified": true, "name": "Alice" });
            let told = patched(told, &script.userinfo);
            if script.signed_userinfo {
                text(200, "application/jwt; charset=utf-8", &keys.sign(&told, script.signing))
            } else {
                json(&told)
            }
        }
        "/revoke" => text(200, "text/plain", ""),
        _ => text(404, "text/plain", "no"),
    }
}

fn token(state: &State, seen: &Seen, script: &Script, keys: &Keys) -> Response<Full<Bytes>> {
    let refuse = |error: &str| {
        let body = json!({ "error": error, "error_description": "<b>no</b>\r\nX: y" });
        text(400, "application/json", &body.to_string())
    };
    let field = |name: &str| seen.form.get(name).map_or("", String::as_str);
    if field("grant_type") == "refresh_token" {
        let mut good = lock(&state.refresh_token);
        if !is_client(seen) || *good != field("refresh_token") {
            return refuse("invalid_grant");
        }
        good.push_str("+1");
        return tokens(state, script, keys, &good, None);
    }
    // A code works once, and only with the verifier that belongs to its challenge.
    let Some(grant) = lock(&state.grants).remove(field("code")) else {
        return refuse("invalid_grant");
    };
    let verifier = digest::digest(&digest::SHA256, field("code_verifier").as_bytes());
    if encode(verifier.as_ref()) != grant.challenge || field("redirect_uri") != grant.redirect_uri {
        return refuse("invalid_grant");
    }
    if !is_client(seen) {
        return refuse("invalid_client");
    }
    tokens(state, script, keys, "refresh-token", Some(&grant.nonce))
}

fn tokens(
    state: &State,
    script: &Script,
    keys: &Keys,
    refresh_token: &str,
    nonce: Option<&str>,
) -> Response<Full<Bytes>> {
    let now = *lock(&state.now);
    let access_token = "access-token";
    let at_hash = digest::digest(&digest::SHA256, access_token.as_bytes());
    let claims = json!({
        "iss": state.issuer, "sub": SUBJECT, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": nonce,
        "auth_time": now - 5, "sid": "provider-session", "at_hash": encode(&at_hash.as_ref()[..16]),
        "groups": ["admins", "staff"],
    });
    let signer = if script.signing == Signing::Unpublished { &state.unpublished } else { keys };
    let id_token = signer.sign(&patched(claims, &script.claims), script.signing);
    let tokens = json!({
        "access_token": access_token, "token_type": "bearer", "expires_in": 300, "refresh_token": refresh_token,
        "id_token": id_token,
    });
    text(200, "application/json", &patched(tokens, &script.tokens).to_string())
}

/// By Basic (form-encoded first), in the form, or as a public client.
fn is_client(seen: &Seen) -> bool {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = BASE64_STANDARD.encode(format!("{}:{}", encoded(CLIENT_ID), encoded(CLIENT_SECRET)));
    match &seen.authorization {
        Some(authorization) => *authorization == format!("Basic {basic}"),
        None => {
            let secret = seen.form.get("client_secret");
            seen.form.get("client_id").is_some_and(|id| id == CLIENT_ID)
                && secret.is_none_or(|secret| secret == CLIENT_SECRET)
        }
    }
}

fn metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "end_session_endpoint": format!("{issuer}/logout"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "XS1"],
        "authorization_response_iss_parameter_supported": true,
    })
}

fn patched(mut object: Value, patch: &Value) -> Value {
    for (name, value) in patch.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

fn text(status: u16, kind: &str, body: &str) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", kind);
    response.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
