//! A new configuration while people sign in.

use portcullis_handover::Bind;
use portcullis_keys::{KeyRing, SystemRandom};

use super::browser::path;
use super::{House, config};

const METADATA: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn unchanged_providers_keep_what_they_have_learnt() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    house.sign_in(&mut browser, &bind).await;
    house.publish(config(&house.providers, "session: {lifetime: 1h}"), None);
    browser.jar.clear();
    let hand_over = house.sign_in(&mut browser, &bind).await;
    let session = house.store.session(&hand_over.handle.key()).unwrap();
    assert_eq!(session.expires_at.since(super::NOW).as_secs(), 3600);
    assert_eq!(house.providers[0].seen(METADATA).len(), 1);
    // A changed port changes where the provider sends people back to: that is another relying party.
    house.publish(config(&house.providers, "listen: {public: \"127.0.0.1:8443\"}"), None);
    browser.jar.clear();
    let url = browser.get(&house.request(&bind, |_| {})).await.location();
    assert!(url.as_str().contains("auth.corp.test%3A8443%2F.portcullis%2Foidc%2Fcallback"));
    assert_eq!(house.providers[0].seen(METADATA).len(), 2);
}

#[tokio::test]
async fn a_sign_in_under_way_survives_a_key_rotation() {
    let house = House::new().await;
    let mut browser = house.browser();
    let (_, old) = KeyRing::generate(&SystemRandom);
    let settings = || config(&house.providers, "");
    house.publish(settings(), Some(&KeyRing::parse(&old).unwrap()));
    let sent = browser.get("/.portcullis/sign_in?provider=corp").await;
    let back = house.providers[0].authorize(&sent.location());
    let (both, id) = portcullis_keys::append(&old, &SystemRandom).unwrap();
    let rotated = KeyRing::parse(&portcullis_keys::promote(&both, id).unwrap()).unwrap();
    house.publish(settings(), Some(&rotated));
    assert_eq!(browser.get(&path(&back)).await.location_text(), "/.portcullis/user");
    // With the old key gone, its states are nobody's.
    let others = KeyRing::generate(&SystemRandom).0;
    house.publish(settings(), Some(&others));
    browser.jar.clear();
    assert_eq!(browser.get(&path(&back)).await.status(), 400);
}

#[tokio::test]
async fn the_references_names_work_beside_cookies_of_a_whole_domain() {
    let house = House::new().await;
    let more = "namespace: pomerium\ncookie: {domain: corp.test}";
    house.publish(config(&house.providers, more), None);
    let mut browser = house.browser();
    let sent = browser.get("/.pomerium/sign_in?provider=corp").await;
    let back = house.providers[0].authorize(&sent.location());
    assert_eq!(back.path(), "/oauth2/callback");
    assert_eq!(browser.get(&path(&back)).await.location_text(), "/.pomerium/user");
    let names: Vec<_> = browser.jar.keys().map(String::as_str).collect();
    assert_eq!(names, ["_pomerium_authenticate", "_pomerium_csrf"]);
    // A route host's cookie, which covers the whole domain, does not hide the sign-in host's.
    browser.jar.insert("_pomerium".to_owned(), "bound-to-another-host".to_owned());
    assert_eq!(browser.get("/.pomerium/user").await.status(), 200);
}
