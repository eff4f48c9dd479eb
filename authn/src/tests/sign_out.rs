//! The end of a session, asked for by its person and by nobody else.

use portcullis_broker_api::EndReason;
use portcullis_handover::{Bind, ReturnPath, SignOutOrder};
use portcullis_identity::SessionKey;
use portcullis_keys::SystemRandom;
use serde_json::json;

use super::browser::{Browser, path};
use super::{AUTH, FOREIGN, House, NOW, SAME_ORIGIN, WIKI};

const PATH: &str = "/.portcullis/sign_out";

async fn signed_in(house: &House) -> (Browser, SessionKey) {
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let hand_over = house.sign_in(&mut browser, &bind).await;
    (browser, hand_over.handle.key())
}

fn order(house: &House, session: SessionKey, return_to: Option<&str>) -> String {
    let order = SignOutOrder {
        host: WIKI.to_owned(),
        session,
        return_to: return_to.map(|path| ReturnPath::new(path).unwrap()),
        issued: NOW,
    };
    format!("{PATH}?o={}", order.seal(&house.keys.handover().unwrap(), AUTH, &SystemRandom))
}

#[tokio::test]
async fn signing_out_takes_a_question_and_an_answer_from_our_own_page() {
    let house = House::new().await;
    let (mut browser, key) = signed_in(&house).await;
    let question = browser.get(PATH).await;
    assert!(question.status() == 200 && question.body().contains("alice@corp.test"));
    assert_eq!(house.store.keys(), [key], "a GET ends nothing");

    for headers in FOREIGN {
        let nothing = browser.send("POST", PATH, headers).await;
        assert!(!nothing.is_redirect() && house.store.keys() == [key], "{headers:?}");
        assert!(browser.session_cookie().is_some());
    }
    let done = browser.send("POST", PATH, &[SAME_ORIGIN]).await;
    assert_eq!(done.status(), 303);
    assert_eq!(house.store.ended(), [(key, EndReason::SignedOut)]);
    assert!(browser.session_cookie().is_none());
    assert!(house.counted("portcullis_sign_outs_total{result=\"ok\"} 1"));

    // And at the provider: with the ID token as a hint, and the access token revoked.
    let there = done.location();
    let parameters: std::collections::BTreeMap<_, _> = there.query_pairs().into_owned().collect();
    assert!(there.as_str().starts_with(&format!("{}/logout?", house.providers[0].issuer())));
    assert_eq!(parameters["post_logout_redirect_uri"], "https://auth.corp.test/.portcullis/signed_out");
    assert!(parameters["id_token_hint"].contains('.'));
    assert_eq!(house.providers[0].seen("/revoke")[0].form["token"], "access-token");
    let page = browser.get("/.portcullis/signed_out").await;
    assert_eq!(page.status(), 200);
}

#[tokio::test]
async fn an_older_browser_is_believed_by_its_fetch_metadata() {
    let house = House::new().await;
    let (mut browser, _) = signed_in(&house).await;
    let done = browser.send("POST", PATH, &[("sec-fetch-site", "same-origin")]).await;
    assert!(done.status() == 303 && house.store.keys().is_empty());
}

#[tokio::test]
async fn who_is_not_signed_in_is_told_so() {
    let house = House::new().await;
    let mut browser = house.browser();
    assert_eq!(browser.get(PATH).await.status(), 200);
    let done = browser.send("POST", PATH, &[SAME_ORIGIN]).await;
    assert_eq!((done.status(), done.location_text().as_str()), (303, "https://auth.corp.test/.portcullis/signed_out"));
    assert!(house.store.ended().is_empty());
}

#[tokio::test]
async fn a_route_hosts_order_needs_no_second_question_and_leads_back() {
    let house = House::new().await;
    let (mut browser, key) = signed_in(&house).await;
    let done = browser.get(&order(&house, key, Some("/bye"))).await;
    assert_eq!(house.store.ended(), [(key, EndReason::SignedOut)]);
    assert!(browser.session_cookie().is_none());
    let there = done.location();
    let state = there.query_pairs().find(|pair| pair.0 == "state").unwrap().1.into_owned();
    let mut back = url::Url::parse("https://auth.corp.test/.portcullis/signed_out").unwrap();
    back.query_pairs_mut().append_pair("state", &state);
    let page = browser.get(&path(&back)).await;
    assert!(page.body().contains("https://wiki.corp.test/bye"));
    back.query_pairs_mut().clear().append_pair("state", "https://evil.test/");
    assert!(!browser.get(&path(&back)).await.body().contains("evil.test"));
}

#[tokio::test]
async fn without_a_place_at_the_provider_the_way_back_is_direct() {
    let house = House::new().await;
    house.providers[0].script(|script| script.metadata = json!({ "end_session_endpoint": null }));
    let (mut browser, key) = signed_in(&house).await;
    let done = browser.get(&order(&house, key, Some("/bye"))).await;
    assert_eq!((done.status(), done.location_text().as_str()), (302, "https://wiki.corp.test/bye"));
}

#[tokio::test]
async fn an_order_ends_its_own_session_and_no_other() {
    let house = House::new().await;
    let (mut victim, victims) = signed_in(&house).await;
    let (_attacker, attackers) = signed_in(&house).await;
    victim.get(&order(&house, attackers, None)).await;
    assert_eq!(house.store.keys(), [victims]);
    assert!(victim.session_cookie().is_some());
    // Old, changed or foreign orders become the question that anybody is asked.
    let old = order(&house, victims, None);
    house.advance(std::time::Duration::from_secs(66));
    for path in [old.as_str(), "/.portcullis/sign_out?o=x"] {
        let asked = victim.get(path).await;
        assert!(asked.status() == 200 && house.store.keys() == [victims], "{path}");
    }
}

#[tokio::test]
async fn nobody_is_told_to_be_signed_out_who_is_not() {
    let house = House::new().await;
    let (mut browser, key) = signed_in(&house).await;
    house.store.set_down(true);
    let away = browser.send("POST", PATH, &[SAME_ORIGIN]).await;
    assert_eq!((away.status(), away.is_redirect()), (503, false));
    assert!(browser.session_cookie().is_some());
    house.store.set_down(false);
    browser.send("POST", PATH, &[SAME_ORIGIN]).await;
    assert_eq!(house.store.ended(), [(key, EndReason::SignedOut)]);
}
