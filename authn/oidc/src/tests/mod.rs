//! A relying party against a provider that misbehaves on demand. Each refused case stands beside its
//! permitted twin.

mod calls;
mod discovery;
mod id_token;
#[expect(dead_code, reason = "the tests of the broker use the rest")]
pub(crate) mod provider;
mod refresh;
mod subject;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portcullis_config::{ClaimMapping, Provider, ProviderTransport};
use portcullis_identity::{Clock as _, ManualClock, Needs, ProviderName, SecretText, Timestamp};
use url::Url;

use crate::{Account, AuthorizationRequest, Callback, ExchangeError, Identity, RelyingParty, Unobserved};
use provider::{CLIENT_ID, CLIENT_SECRET, FakeProvider, Script};

const NOW: i64 = 1_700_000_000;
const REDIRECT_URI: &str = "https://auth.corp.test/.portcullis/oidc/callback";

/// One provider, one relying party, one clock.
struct Pair {
    provider: FakeProvider,
    party: RelyingParty,
    clock: Arc<ManualClock>,
}

impl Pair {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(configure: impl FnOnce(&mut Provider)) -> Self {
        let provider = FakeProvider::start(NOW).await;
        let mut configured = configured(&provider);
        configure(&mut configured);
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(NOW)));
        let redirect_uri = Url::parse(REDIRECT_URI).unwrap();
        let party = RelyingParty::new(&configured, redirect_uri, clock.clone(), Arc::new(Unobserved)).unwrap();
        Self { provider, party, clock }
    }

    async fn sign_in(&self) -> Result<Identity, ExchangeError> {
        self.sign_in_for(&Needs::default()).await
    }

    async fn sign_in_for(&self, needs: &Needs) -> Result<Identity, ExchangeError> {
        let (verifier, nonce) = (proof(1), proof(2));
        let url = self.party.authorization_url(request(&verifier, &nonce, needs)).await.unwrap();
        let back = self.provider.authorize(&url);
        let query: std::collections::BTreeMap<_, _> = back.query_pairs().into_owned().collect();
        let (code, iss) = (query["code"].as_str(), Some(query["iss"].as_str()));
        self.party.exchange(Callback { code, iss, verifier: &verifier, nonce: &nonce, needs }).await
    }

    /// Time passes here and there.
    fn advance(&self, span: Duration) {
        self.clock.advance(span);
        self.provider.set_now(self.clock.now().unix_seconds());
    }

    /// Signs in at a provider that follows `change`.
    async fn scripted(change: impl FnOnce(&mut Script)) -> Result<Identity, ExchangeError> {
        let pair = Self::new().await;
        pair.provider.script(change);
        pair.sign_in().await
    }
}

fn configured(provider: &FakeProvider) -> Provider {
    Provider {
        name: ProviderName::new("corp"),
        label: "Corp".into(),
        issuer: Url::parse(provider.issuer()).unwrap(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(SecretText::new(CLIENT_SECRET)),
        client_auth: None,
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        request_params: Vec::new(),
        claims: configured_mapping(),
        transport: ProviderTransport {
            egress_proxy: None,
            ca: Vec::new(),
            timeout: Duration::from_secs(10),
            max_answer_bytes: 100_000,
        },
    }
}

fn configured_mapping() -> ClaimMapping {
    ClaimMapping {
        email: "email".to_owned(),
        name: "name".to_owned(),
        groups: "groups".to_owned(),
        require_verified_email: false,
    }
}

fn request<'a>(verifier: &'a str, nonce: &'a str, needs: &'a Needs) -> AuthorizationRequest<'a> {
    let account = Account::Present;
    AuthorizationRequest { state: "st+te", nonce, verifier, needs, account, login_hint: None }
}

fn proof(byte: u8) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([byte; 32])
}
