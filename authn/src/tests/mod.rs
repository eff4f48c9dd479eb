//! The sign-in service with a provider that misbehaves on demand, sessions in memory, and a browser. Each
//! refused case stands beside its permitted twin.

mod browser;
mod callback;
mod listening;
#[expect(dead_code, reason = "the relying party's own tests use the rest of it")]
#[path = "../../oidc/src/tests/provider.rs"]
mod provider;
mod reload;
mod sign_in;
mod sign_out;
mod store;
mod user;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::{Config, Environment};
use portcullis_handover::{Bind, HandOver, ReturnPath, SignInRequest};
use portcullis_identity::{Clock, ManualClock, Needs, Timestamp};
use portcullis_keys::{KeyRing, SystemRandom};
use prometheus::Registry;

use crate::{Authn, AuthnParts};
use browser::Browser;
use provider::{CLIENT_ID, FakeProvider};
use store::Store;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);
const AUTH: &str = "auth.corp.test";
const WIKI: &str = "wiki.corp.test";
/// What a browser says of a form of our own page.
const SAME_ORIGIN: (&str, &str) = ("origin", "https://auth.corp.test");
/// What it says of everybody else's, or nothing.
const FOREIGN: [&[(&str, &str)]; 5] = [
    &[("origin", "https://evil.test")],
    &[("origin", "null")],
    &[("origin", "https://auth.corp.test:8443")],
    &[("sec-fetch-site", "cross-site")],
    &[],
];

/// The service, two providers, and what they share.
struct House {
    authn: Authn<Store>,
    store: Store,
    keys: KeyRing,
    registry: Registry,
    clock: Arc<ManualClock>,
    /// `corp`, then `partners`.
    providers: [FakeProvider; 2],
}

#[derive(Debug)]
struct NoEnvironment;

impl Environment for NoEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        (name == "IDP_SECRET").then(|| provider::CLIENT_SECRET.to_owned())
    }
}

impl House {
    /// The next generation, with another key ring or with the first one.
    fn publish(&self, config: Arc<Config>, keys: Option<&KeyRing>) {
        self.authn.take_over(self.authn.prepare(config, keys.unwrap_or(&self.keys)).unwrap());
    }

    async fn new() -> Self {
        let seconds = NOW.unix_seconds();
        let providers = [FakeProvider::start(seconds).await, FakeProvider::start(seconds).await];
        let clock = Arc::new(ManualClock::at(NOW));
        let store = Store::new(clock.clone());
        let (keys, _text) = KeyRing::generate(&SystemRandom);
        let registry = Registry::new();
        let parts = AuthnParts {
            config: config(&providers, ""),
            keys: &keys,
            broker: store.clone(),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            registry: &registry,
        };
        let authn = Authn::new(parts).unwrap();
        Self { authn, store, keys, registry, clock, providers }
    }

    fn browser(&self) -> Browser {
        Browser::new(self.authn.clone())
    }

    fn advance(&self, span: Duration) {
        self.clock.advance(span);
        for provider in &self.providers {
            provider.set_now(self.clock.now().unix_seconds());
        }
    }

    /// A request of the wiki's host, as its proxy seals it.
    fn request(&self, bind: &Bind, change: impl FnOnce(&mut SignInRequest)) -> String {
        let mut request = SignInRequest {
            host: WIKI.to_owned(),
            return_path: ReturnPath::or_root("/page?id=5"),
            needs: Needs {
                providers: Arc::new(["corp"].map(portcullis_identity::ProviderName::new)),
                ..Needs::default()
            },
            bind: bind.digest(),
            issued: self.clock.now(),
            attempt: 1,
            fresh_account: false,
            programmatic: None,
        };
        change(&mut request);
        let sealed = request.seal(&self.keys.handover().unwrap(), AUTH, &SystemRandom);
        format!("/.portcullis/sign_in?r={sealed}")
    }

    /// What the wiki's host is told, if `location` leads there.
    fn handed_over(&self, location: &str) -> Option<HandOver> {
        let sealed = location.strip_prefix("https://wiki.corp.test/.portcullis/callback?h=")?;
        HandOver::open(sealed, &self.keys.handover().unwrap(), WIKI, self.clock.now()).ok()
    }

    /// Signs `browser` in for the wiki at `corp`.
    async fn sign_in(&self, browser: &mut Browser, bind: &Bind) -> HandOver {
        let sent = browser.get(&self.request(bind, |_| {})).await;
        let back = self.providers[0].authorize(&sent.location());
        let done = browser.get(browser::path(&back).as_str()).await;
        self.handed_over(&done.location_text()).unwrap()
    }

    fn counted(&self, line: &str) -> bool {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        text.lines().any(|found| found == line)
    }
}

const APPS: &str =
    "  - from: https://*.apps.corp.test\n    to: http://127.0.0.1:1\n    allow_any_authenticated_user: true\n";

fn config(providers: &[FakeProvider; 2], more: &str) -> Arc<Config> {
    config_of(providers, more, APPS)
}

/// A configuration with these routes beside the wiki's.
fn config_of(providers: &[FakeProvider; 2], more: &str, routes: &str) -> Arc<Config> {
    let [corp, partners] = providers.each_ref().map(|provider| {
        let issuer = provider.issuer();
        format!("issuer: \"{issuer}\", client_id: \"{CLIENT_ID}\", client_secret: {{env: IDP_SECRET}}, timeout: 2s")
    });
    let text = format!(
        "sign_in: {{host: {AUTH}}}\nproviders:\n  corp: {{{corp}, label: Corp}}\n  partners: {{{partners}, label: Partners}}\n{more}\nroutes:\n  - from: https://{WIKI}\n    to: http://127.0.0.1:1\n    allow_any_authenticated_user: true\n{routes}"
    );
    let loaded = portcullis_config::from_text(&text, "test.yaml", Path::new("/"), &NoEnvironment);
    loaded.unwrap_or_else(|error| panic!("{error}\n{text}")).config
}
