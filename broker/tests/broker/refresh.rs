//! Tokens that are kept fresh at a provider, which is away, refuses, contradicts, or says something new.

use std::sync::Arc;
use std::time::Duration;

use portcullis_broker::Refresher;
use portcullis_broker_api::{Change, NewSession, Replica, Resolved, Tokens};
use portcullis_config::{Config, ProcessEnvironment, from_text};
use portcullis_identity::{Clock as _, Principal, ProviderName, SecretText, Session, SessionKey};
use serde_json::json;
use tokio::sync::Barrier;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::house::{House, NOW, SOON, key};
use crate::provider::{CLIENT_ID, FakeProvider, Fault, SUBJECT, Script};

/// A session whose access token lasts five minutes: a refresh is due after four.
pub(crate) struct Scene {
    pub(crate) house: House,
    pub(crate) provider: FakeProvider,
    pub(crate) refresher: Refresher,
}

const FOUR_MINUTES: Duration = Duration::from_secs(241);

impl Scene {
    pub(crate) async fn new() -> Self {
        let house = House::new();
        let provider = FakeProvider::start(NOW.unix_seconds()).await;
        house.authn().create(session(&house, &provider, "a")).await.unwrap();
        let refresher = house.broker().refresher(&config(&provider)).unwrap();
        Self { house, provider, refresher }
    }

    /// Time passes here and there, and the session is used.
    pub(crate) async fn use_after(&self, span: Duration) {
        self.pass(span);
        self.house.proxy().touch(vec![(key("a"), self.house.clock.now())]).await.unwrap();
    }

    pub(crate) fn pass(&self, span: Duration) {
        self.house.clock.advance(span);
        self.provider.set_now(self.house.clock.now().unix_seconds());
    }

    pub(crate) async fn restart(&mut self) {
        self.house.stop().await;
        self.house.start();
        self.refresher = self.house.broker().refresher(&config(&self.provider)).unwrap();
    }

    /// A use when a refresh is due, and the refresh.
    async fn refresh(&self) {
        self.use_after(FOUR_MINUTES).await;
        self.refresher.refresh_due().await.unwrap();
    }

    pub(crate) fn refreshes(&self) -> usize {
        let seen = self.provider.seen("/token");
        seen.iter().filter(|seen| seen.form.get("grant_type").is_some_and(|kind| kind == "refresh_token")).count()
    }

    /// How many refreshes came to this, by the metric.
    pub(crate) fn outcomes(&self, outcome: &str) -> u64 {
        self.house.metric("portcullis_broker_refreshes_total", Some(outcome))
    }

    async fn access_token(&self) -> String {
        let tokens = self.house.proxy().access_token(&key("a"), "wiki").await.unwrap().unwrap();
        tokens.access_token.unwrap().expose().to_owned()
    }
}

pub(crate) fn session(house: &House, provider: &FakeProvider, name: &str) -> NewSession {
    let new = house.new_session(name);
    let tokens = Tokens { refresh_token: Some(SecretText::new("refresh-token")), id_token: None, ..new.tokens.clone() };
    let principal = Principal { issuer: provider.issuer().into(), subject: SUBJECT.into() };
    NewSession { principal, tokens, ..new }
}

pub(crate) fn config(provider: &FakeProvider) -> Arc<Config> {
    config_of(&[("corp", provider)])
}

pub(crate) fn config_of(providers: &[(&str, &FakeProvider)]) -> Arc<Config> {
    let line = |(name, provider): &(&str, &FakeProvider)| {
        format!("  {name}: {{issuer: '{}', client_id: {CLIENT_ID}}}\n", provider.issuer())
    };
    let providers: String = providers.iter().map(line).collect();
    let text = format!("sign_in: {{host: auth.test}}\nproviders:\n{providers}routes: []\n");
    let loaded = from_text(&text, "test.yaml", std::path::Path::new("."), &ProcessEnvironment);
    loaded.unwrap_or_else(|error| panic!("{error}")).config
}

pub(crate) async fn fetched(house: &House, key: &SessionKey) -> Option<Session> {
    house.proxy().fetch(key).await.unwrap()
}

pub(crate) fn groups(session: &Session) -> Vec<String> {
    session.subject.groups.iter().flat_map(|groups| groups.iter()).map(|group| group.id.to_string()).collect()
}

fn held(replica: &Replica) -> Arc<Session> {
    match replica.resolve(&key("a"), NOW) {
        Resolved::Session(session) => session,
        other @ (Resolved::Absent | Resolved::Missing | Resolved::Stale) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_in_use_gets_new_tokens_before_the_old_ones_end_and_its_new_groups_reach_replicas() {
    let scene = Scene::new().await;
    let (replica, _run) = scene.house.replica().await;
    assert!(matches!(replica.fetch(&key("a")).await, Resolved::Session(_)));
    assert_eq!(groups(&held(&replica)), ["admins"]);
    scene.house.authn().derive(&key("a"), &key("p"), "wiki.corp.test").await.unwrap().unwrap();
    let mut changes = replica.changes();
    scene.provider.script(|script: &mut Script| script.claims = json!({ "groups": ["staff"] }));
    scene.refresh().await;
    let told = timeout(SOON, changes.recv()).await.unwrap().unwrap();
    assert_eq!(told, Change::Changed(key("a")));
    assert_eq!(groups(&held(&replica)), ["staff"]);
    // What was made of it for a program is about the same person.
    let told = timeout(SOON, changes.recv()).await.unwrap().unwrap();
    assert_eq!(told, Change::Changed(key("p")));
    assert_eq!(groups(&fetched(&scene.house, &key("p")).await.unwrap()), ["staff"]);
    assert_eq!(scene.access_token().await, "access-token");
    // The rotated token is the one that is used next, after a restart too.
    assert_eq!(scene.refreshes(), 1);
    scene.refresh().await;
    assert_eq!((scene.refreshes(), scene.provider.refresh_token()), (2, "refresh-token+1+1".to_owned()));
    assert!(fetched(&scene.house, &key("a")).await.is_some());
}

#[tokio::test]
async fn a_session_that_nobody_uses_is_left_alone_until_somebody_does() {
    let scene = Scene::new().await;
    scene.pass(FOUR_MINUTES);
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(scene.refreshes(), 0);
    scene.use_after(Duration::from_secs(600)).await;
    scene.refresher.refresh_due().await.unwrap();
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(scene.refreshes(), 1);
}

#[tokio::test]
async fn uses_from_before_a_restart_ask_for_no_refresh_and_the_next_one_does() {
    let mut scene = Scene::new().await;
    scene.use_after(Duration::from_secs(60)).await;
    scene.restart().await;
    scene.pass(FOUR_MINUTES);
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(scene.refreshes(), 0);
    scene.use_after(Duration::from_secs(1)).await;
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(scene.refreshes(), 1);
}

#[tokio::test]
async fn without_a_refresh_token_nobody_is_asked() {
    let scene = Scene::new().await;
    let new = session(&scene.house, &scene.provider, "b");
    let tokens = Tokens { refresh_token: None, ..new.tokens.clone() };
    scene.house.authn().create(NewSession { tokens, ..new }).await.unwrap();
    scene.pass(FOUR_MINUTES);
    scene.house.proxy().touch(vec![(key("b"), scene.house.clock.now())]).await.unwrap();
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(scene.refreshes(), 0);
    scene.house.proxy().touch(vec![(key("a"), scene.house.clock.now())]).await.unwrap();
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(scene.refreshes(), 1);
}

#[tokio::test]
async fn tokens_that_are_on_their_way_at_the_end_are_waited_for() {
    let scene = Scene::new().await;
    let gate = Arc::new(Barrier::new(2));
    scene.provider.fault("/userinfo", Fault::Held(Arc::clone(&gate)));
    let stop = CancellationToken::new();
    scene.use_after(FOUR_MINUTES).await;
    let stopping = async {
        gate.wait().await;
        scene.provider.script(|script| script.faults.clear());
        stop.cancel();
        tokio::task::yield_now().await;
        gate.wait().await;
    };
    tokio::join!(scene.refresher.run(stop.clone()), stopping);
    scene.refresh().await;
    assert_eq!((scene.refreshes(), scene.provider.refresh_token()), (2, "refresh-token+1+1".to_owned()));
}

#[tokio::test]
async fn what_did_not_change_is_no_news() {
    let scene = Scene::new().await;
    scene.provider.script(|script| script.claims = json!({ "auth_time": NOW.unix_seconds() }));
    scene.refresh().await;
    let first = fetched(&scene.house, &key("a")).await.unwrap();
    scene.refresh().await;
    let second = fetched(&scene.house, &key("a")).await.unwrap();
    assert_eq!((scene.refreshes(), first.version), (2, second.version));
}

#[tokio::test]
async fn a_provider_that_is_down_ends_no_session_and_is_asked_again_later() {
    let scene = Scene::new().await;
    scene.provider.fault("/token", Fault::Status(503));
    scene.refresh().await;
    scene.use_after(Duration::from_secs(5)).await;
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(scene.refreshes(), 1, "not before the pause is over");
    assert_eq!(scene.outcomes("failed"), 1);
    scene.provider.script(|script| script.faults.clear());
    scene.use_after(Duration::from_secs(60)).await;
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(scene.refreshes(), 2);
    assert_eq!(groups(&fetched(&scene.house, &key("a")).await.unwrap()), ["admins", "staff"]);
}

#[tokio::test]
async fn a_grant_that_is_over_and_a_contradiction_end_the_session() {
    for contradiction in [false, true] {
        let scene = Scene::new().await;
        if contradiction {
            scene.provider.script(|script| script.userinfo = json!({ "sub": "somebody-else" }));
        } else {
            scene.provider.end_grant();
        }
        let twin = Scene::new().await;
        scene.refresh().await;
        twin.refresh().await;
        assert!(fetched(&scene.house, &key("a")).await.is_none());
        assert!(fetched(&twin.house, &key("a")).await.is_some());
        let outcomes = |scene: &Scene| ["ended", "renewed"].map(|outcome| scene.outcomes(outcome));
        assert_eq!((outcomes(&scene), outcomes(&twin)), ([1, 0], [0, 1]));
    }
}

#[tokio::test]
async fn an_interrupted_refresh_whose_token_is_spent_ends_refreshing_and_not_the_session() {
    let mut scene = Scene::new().await;
    // The provider spends the token, and its answer is lost.
    scene.provider.fault("/token", Fault::Huge);
    scene.refresh().await;
    scene.provider.end_grant();
    scene.provider.script(|script| script.faults.clear());
    // The mark is on disk: it outlives the broker.
    scene.restart().await;
    scene.refresh().await;
    assert_eq!(scene.refreshes(), 2);
    assert!(fetched(&scene.house, &key("a")).await.is_some());
    scene.refresh().await;
    assert_eq!(scene.refreshes(), 2, "nothing is left to refresh with");
}

#[tokio::test]
async fn a_provider_that_hangs_holds_up_no_other() {
    let scene = Scene::new().await;
    let hanging = FakeProvider::start(NOW.unix_seconds()).await;
    // More than the broker asks at a time, and due before the one of the other provider.
    let names: Vec<String> = (0..40).map(|number| format!("h{number}")).collect();
    for name in &names {
        let new = session(&scene.house, &hanging, name);
        scene.house.authn().create(NewSession { provider: ProviderName::new("hanging"), ..new }).await.unwrap();
    }
    // The share and the test meet there; nobody lets them go.
    let full = Arc::new(Barrier::new(33));
    hanging.fault("/token", Fault::Held(Arc::clone(&full)));
    scene
        .refresher
        .take_over(scene.refresher.prepare(&config_of(&[("hanging", &hanging), ("corp", &scene.provider)])).unwrap());
    scene.pass(FOUR_MINUTES);
    let now = scene.house.clock.now();
    scene.house.proxy().touch(names.iter().map(|name| (key(name), now)).collect()).await.unwrap();
    let gate = Arc::new(Barrier::new(2));
    scene.provider.fault("/userinfo", Fault::Held(Arc::clone(&gate)));
    let answered = async {
        timeout(SOON, full.wait()).await.unwrap();
        // All that the broker asks of the hanging provider is under way: the other one's turn comes all the same.
        scene.house.proxy().touch(vec![(key("a"), now)]).await.unwrap();
        timeout(SOON, gate.wait()).await.unwrap();
    };
    tokio::select! {
        () = scene.refresher.run(CancellationToken::new()) => panic!("it runs until it is stopped"),
        () = answered => {}
    }
    assert_eq!(hanging.seen("/token").len(), 32, "its share and no more");
}
