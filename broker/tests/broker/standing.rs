//! Connections that stand while the key ring changes: who shows a certificate of a removed key is cut off, nobody else.

use std::sync::Arc;

use portcullis_broker_api::{BrokerClient, BrokerError, EndReason, EndSelector, Endpoint, Feed, FeedEvent};
use portcullis_identity::{Clock as _, SystemClock};
use portcullis_keys::pki::InternalCa;
use portcullis_keys::{KeyRing, ServiceRole, SystemRandom};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::house::{DIGEST, House, SOON, key};
use crate::services::{client_config, serve_following, server_tls};

/// The rings of a rotation: before, meanwhile and after, as authorities.
struct Rotation {
    old: InternalCa,
    both: InternalCa,
    new: InternalCa,
}

impl Rotation {
    fn new() -> Self {
        let [old, new] = [KeyRing::generate(&SystemRandom).1, KeyRing::generate(&SystemRandom).1];
        let ca = |text: &str| KeyRing::parse(text).unwrap().internal_ca().unwrap();
        Self { both: ca(&format!("{old}\n{new}")), old: ca(&old), new: ca(&new) }
    }

    /// What a proxy dials by whose certificate `issuer` issued, while both keys are believed.
    fn dialler(&self, issuer: &InternalCa) -> Arc<ClientConfig> {
        client_config(&self.both, Some(issuer.issue(ServiceRole::Proxy, SystemClock.now()).unwrap()))
    }
}

fn proxy(url: &str, config: watch::Receiver<Arc<ClientConfig>>) -> BrokerClient {
    BrokerClient::connect_lazy(Endpoint::Tls { url: url.parse().unwrap(), config }, ServiceRole::Proxy)
}

/// A stream that stands: its start has arrived.
async fn standing(client: &BrokerClient) -> Feed {
    let mut feed = client.watch(None).await.unwrap();
    assert!(matches!(feed.next().await, Ok(Some(FeedEvent::Start { .. }))));
    feed
}

/// What comes after all heartbeats.
async fn news(feed: &mut Feed) -> Result<Option<FeedEvent>, BrokerError> {
    loop {
        match timeout(SOON, feed.next()).await.unwrap() {
            Ok(Some(FeedEvent::Heartbeat { .. })) => {}
            news => return news,
        }
    }
}

/// Ends a session, which `feed` is to hear of.
async fn hears_of_an_end(house: &House, feed: &mut Feed, name: &str) {
    house.authn().create(house.new_session(name)).await.unwrap();
    house.authn().end(EndSelector::Key(key(name)), EndReason::Revoked).await.unwrap();
    // Ends of other sessions may come before.
    loop {
        match news(feed).await {
            Ok(Some(FeedEvent::Ended { key: ended, .. })) if ended == key(name) => return,
            Ok(Some(FeedEvent::Ended { .. })) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_connection_of_a_removed_key_is_cut_and_one_of_a_kept_key_stands() {
    let (house, rotation) = (House::new(), Rotation::new());
    let (settings, tls) = watch::channel(server_tls(&rotation.both));
    let (url, _stop) = serve_following(&house, tls).await;
    let [forgotten, kept] =
        [&rotation.old, &rotation.new].map(|issuer| proxy(&url, watch::channel(rotation.dialler(issuer)).1));
    let (mut cut, mut stands) = (standing(&forgotten).await, standing(&kept).await);
    // A ring that keeps both changes nothing for either.
    settings.send_replace(server_tls(&rotation.both));
    hears_of_an_end(&house, &mut cut, "a").await;
    hears_of_an_end(&house, &mut stands, "b").await;
    settings.send_replace(server_tls(&rotation.new));
    loop {
        match news(&mut cut).await {
            // What was on its way.
            Ok(Some(_)) => {}
            Ok(None) => panic!("cut, not ended in order"),
            Err(_aborted) => break,
        }
    }
    assert!(matches!(forgotten.hello(DIGEST).await, Err(BrokerError::Unavailable(_))), "and comes in no more");
    hears_of_an_end(&house, &mut stands, "c").await;
    assert!(kept.hello(DIGEST).await.is_ok());
}

#[tokio::test]
async fn who_dials_by_new_settings_moves_over_before_the_old_key_goes() {
    let (house, rotation) = (House::new(), Rotation::new());
    let (settings, tls) = watch::channel(server_tls(&rotation.both));
    let (url, _stop) = serve_following(&house, tls).await;
    let (own, followed) = watch::channel(rotation.dialler(&rotation.old));
    let (moving, other) = (proxy(&url, followed), proxy(&url, watch::channel(rotation.dialler(&rotation.new)).1));
    let (mut before, mut beside) = (standing(&moving).await, standing(&other).await);
    own.send_replace(rotation.dialler(&rotation.new));
    assert!(matches!(news(&mut before).await, Ok(None)), "its stream ends in order, to begin anew");
    let mut after = standing(&moving).await;
    settings.send_replace(server_tls(&rotation.new));
    hears_of_an_end(&house, &mut after, "a").await;
    hears_of_an_end(&house, &mut beside, "b").await;
    assert!(moving.hello(DIGEST).await.is_ok());
}
