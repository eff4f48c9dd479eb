//! Back from the provider: whose callback it is, what it proves, and what becomes of it otherwise.

use std::sync::Arc;
use std::time::Duration;

use portcullis_broker_api::EndReason;
use portcullis_handover::Bind;
use portcullis_identity::{MAX_CLAIMS_BYTES, Needs, ProviderName};
use portcullis_keys::SystemRandom;
use serde_json::json;
use url::Url;

use super::browser::{Browser, Got, path};
use super::provider::{Fault, Signing};
use super::{House, WIKI};

/// A browser on its way back from `corp`.
async fn returning(house: &House) -> (Browser, Url) {
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let sent = browser.get(&house.request(&bind, |_| {})).await;
    let back = house.providers[0].authorize(&sent.location());
    (browser, back)
}

fn with(url: &Url, name: &str, value: Option<&str>) -> String {
    let mut changed = url.clone();
    let rest: Vec<_> =
        url.query_pairs().filter(|pair| pair.0 != name).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    changed.query_pairs_mut().clear().extend_pairs(rest).extend_pairs(value.map(|value| (name, value)));
    path(&changed)
}

/// Nobody was signed in, and nothing leads anywhere but to a new beginning.
fn is_refusal(house: &House, got: &Got, status: u16) {
    assert_eq!((got.status(), got.is_redirect()), (status, false), "{}", got.body());
    assert!(house.store.keys().is_empty());
    assert!(!got.0.headers().contains_key("set-cookie"));
}

#[tokio::test]
async fn a_callback_is_worth_nothing_in_another_browser() {
    let house = House::new().await;
    // Login CSRF: the attacker's callback in the victim's browser, without and with a bind cookie of its own.
    let (_attacker, back) = returning(&house).await;
    let mut victim = house.browser();
    let refused = victim.get(&path(&back)).await;
    is_refusal(&house, &refused, 400);
    assert!(refused.body().contains("another browser") && refused.body().contains(WIKI));
    // With one, it begins again as itself: the victim may as well have lost a race between its own first tabs.
    let (mut victim, _own) = returning(&house).await;
    let again = victim.get(&path(&back)).await;
    assert!(again.is_redirect() && again.location().path() == "/.portcullis/sign_in", "{}", again.location_text());
    assert!(house.store.keys().is_empty() && !again.0.headers().contains_key("set-cookie"));
    assert_eq!(house.providers[0].seen("/token").len(), 0, "the code was not spent");
    let (mut own, back) = returning(&house).await;
    assert!(house.handed_over(&own.get(&path(&back)).await.location_text()).is_some());
}

#[tokio::test]
async fn state_and_code_are_whole_and_ours() {
    let house = House::new().await;
    let (mut browser, back) = returning(&house).await;
    let state = back.query_pairs().find(|pair| pair.0 == "state").unwrap().1.into_owned();
    let mut broken = state.clone().into_bytes();
    broken[60] = if broken[60] == b'A' { b'B' } else { b'A' };
    let broken = String::from_utf8(broken).unwrap();
    let refused = [
        with(&back, "state", None),
        with(&back, "state", Some("x")),
        with(&back, "state", Some(&broken)),
        with(&back, "code", None),
        format!("{}&state={state}", path(&back)),
        format!("{}&code=other", path(&back)),
    ];
    for path in refused {
        is_refusal(&house, &browser.get(&path).await, 400);
    }
    assert!(house.handed_over(&browser.get(&path(&back)).await.location_text()).is_some());
}

#[tokio::test]
async fn one_providers_callback_is_no_other_providers() {
    let house = House::new().await;
    let partners = house.providers[1].issuer().to_owned();
    // Mix-up: the state says corp, the response says it is partners', or does not say.
    let (mut browser, back) = returning(&house).await;
    is_refusal(&house, &browser.get(&with(&back, "iss", Some(&partners))).await, 502);
    is_refusal(&house, &browser.get(&with(&back, "iss", None)).await, 502);
    assert_eq!(house.providers[0].seen("/token").len(), 0, "the code was not spent");
    // The provider's redirect URI is one for all, so a code of the other provider gets as far as its issuer.
    let (mut browser, back) = returning(&house).await;
    assert!(house.handed_over(&browser.get(&path(&back)).await.location_text()).is_some());
}

#[tokio::test]
async fn a_replayed_callback_signs_nobody_in() {
    let house = House::new().await;
    let (mut browser, back) = returning(&house).await;
    let before = browser.clone();
    let first = browser.get(&path(&back)).await;
    let hand_over = house.handed_over(&first.location_text()).unwrap();
    // The same browser, a reloaded page: it has its session and is sent on with it; no second one is made.
    let again = browser.get(&path(&back)).await;
    let second = house.handed_over(&again.location_text()).unwrap();
    assert_eq!((second.handle.key(), house.store.keys().len()), (hand_over.handle.key(), 1));
    assert_ne!(second.id, hand_over.id);
    // Without the session cookie, even with the bind cookie, there is nothing to be had.
    let mut thief = before;
    let refused = thief.get(&path(&back)).await;
    assert_eq!((refused.status(), refused.is_redirect()), (400, false));
    assert!(refused.body().contains("used already"));
}

#[tokio::test]
async fn a_late_tab_is_sent_on_if_its_person_is_signed_in() {
    let house = House::new().await;
    let (mut browser, late) = returning(&house).await;
    let bind = Bind::random(&SystemRandom);
    let (mut without, late_without) = returning(&house).await;
    house.advance(Duration::from_secs(606));
    let expired = without.get(&path(&late_without)).await;
    is_refusal(&house, &expired, 400);
    assert!(expired.body().contains("https://wiki.corp.test/page?id=5"), "the page where a new sign-in begins");
    house.sign_in(&mut browser, &bind).await;
    let sent_on = browser.get(&path(&late)).await;
    assert_eq!(house.handed_over(&sent_on.location_text()).unwrap().return_path.as_str(), "/page?id=5");
    // A session that does not meet what the tab's page needs does not help.
    let strict = house.request(&bind, |request| request.needs.acr = Arc::new(["strong".into()]));
    let sent = browser.get(&strict).await;
    let back = house.providers[0].authorize(&sent.location());
    house.advance(Duration::from_secs(606));
    let refused = browser.get(&path(&back)).await;
    assert_eq!((refused.status(), refused.is_redirect()), (400, false));
}

#[tokio::test]
async fn any_number_of_tabs_share_one_cookie() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let mut backs = Vec::new();
    for number in 0..10 {
        let request = house.request(&bind, |request| {
            request.return_path = portcullis_handover::ReturnPath::or_root(&format!("/tab/{number}"));
        });
        let sent = browser.get(&request).await;
        backs.push(house.providers[0].authorize(&sent.location()));
    }
    assert_eq!(browser.jar.keys().collect::<Vec<_>>(), ["__Host-portcullis-bind"]);
    for (number, back) in backs.iter().enumerate().rev() {
        let done = browser.get(&path(back)).await;
        let hand_over = house.handed_over(&done.location_text()).unwrap();
        assert_eq!(hand_over.return_path.as_str(), format!("/tab/{number}"));
        assert!(house.store.session(&hand_over.handle.key()).is_some());
    }
    assert_eq!(house.store.keys().len(), 1, "each sign-in took the place of the one before");
}

#[tokio::test]
async fn every_sign_in_has_a_new_handle_and_ends_the_old_session() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    // Fixation: the browser arrives with a session that somebody else knows.
    let known = house.sign_in(&mut browser, &bind).await;
    let request = house.request(&bind, |request| request.fresh_account = true);
    let sent = browser.get(&request).await;
    let cookie_before = browser.session_cookie().cloned();
    let back = house.providers[0].authorize(&sent.location());
    let done = browser.get(&path(&back)).await;
    let own = house.handed_over(&done.location_text()).unwrap();
    assert_ne!(own.handle.key(), known.handle.key());
    assert_ne!(browser.session_cookie().cloned(), cookie_before);
    assert_eq!(house.store.keys(), [own.handle.key()]);
    assert_eq!(house.store.ended(), [(known.handle.key(), EndReason::Replaced)]);
}

#[tokio::test]
async fn what_the_provider_sends_must_prove_who_signed_in() {
    let signed_in = async |signing, claims| {
        let house = House::new().await;
        let (mut browser, back) = returning(&house).await;
        house.providers[0].script(|script| {
            script.signing = signing;
            script.claims = claims;
        });
        let got = browser.get(&path(&back)).await;
        if !got.is_redirect() {
            is_refusal(&house, &got, 502);
            assert!(house.counted("portcullis_sign_ins_total{provider=\"corp\",result=\"rejected\"} 1"));
        }
        got.is_redirect()
    };
    assert!(signed_in(Signing::Es256, json!({})).await);
    assert!(!signed_in(Signing::Broken, json!({})).await);
    assert!(!signed_in(Signing::None, json!({})).await);
    assert!(!signed_in(Signing::Es256, json!({ "nonce": "other" })).await);
    assert!(!signed_in(Signing::Es256, json!({ "aud": "other" })).await);
}

#[tokio::test]
async fn refusals_say_why_and_where_to_start_again() {
    let refused = async |change: fn(&mut super::provider::Script)| {
        let house = House::new().await;
        let (mut browser, back) = returning(&house).await;
        house.providers[0].script(change);
        let got = browser.get(&path(&back)).await;
        assert!(house.store.keys().is_empty());
        (got.status(), got.body().to_owned())
    };
    let (status, body) = refused(|script| {
        script.userinfo = json!({ "filler": "x".repeat(MAX_CLAIMS_BYTES) });
    })
    .await;
    assert!(status == 403 && body.contains("too much information"), "{body}");
    let (status, body) = refused(|script| {
        script.claims = json!({ "groups": null, "_claim_names": { "groups": "src1" } });
    })
    .await;
    assert!(status == 403 && body.contains("groups"), "{body}");
    let (status, body) = refused(|script| {
        script.faults.insert("/token", Fault::Status(503));
    })
    .await;
    assert!(status == 503 && body.contains("Corp"), "{body}");
    let (status, _) = refused(|script| {
        script.faults.insert("/userinfo", Fault::Huge);
    })
    .await;
    assert_eq!(status, 502, "an answer nobody can use");
}

#[tokio::test]
async fn an_error_of_the_provider_is_shown_as_harmless_text() {
    let house = House::new().await;
    let (mut browser, back) = returning(&house).await;
    let back = with(&back, "code", None);
    let denied =
        browser.get(&format!("{back}&error=access_denied&error_description=%3Cscript%3Ealert(1)%0D%0AX")).await;
    is_refusal(&house, &denied, 403);
    assert!(!denied.body().contains("<script>alert"));
    assert!(denied.body().contains("alert(1) X") && denied.body().contains("https://wiki.corp.test/page?id=5"));
    let away = browser.get(&format!("{back}&error=temporarily_unavailable")).await;
    is_refusal(&house, &away, 503);
    let unmet = browser.get(&format!("{back}&error=unmet_authentication_requirements")).await;
    is_refusal(&house, &unmet, 403);
    // Somebody else's error page is not shown in our name: the state comes first.
    let stranger = house.browser().get(&format!("{back}&error=access_denied&error_description=pay+now")).await;
    assert!(!stranger.body().contains("pay now"));
}

#[tokio::test]
async fn a_fresh_sign_in_that_falls_short_ends_the_way_instead_of_a_loop() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let corp: Arc<[_]> = Arc::new([ProviderName::new("corp")]);
    let strong = Needs { acr: Arc::new(["strong".into()]), providers: Arc::clone(&corp), ..Needs::default() };
    let fresh = Needs { max_age: Some(Duration::from_secs(30)), providers: corp, ..Needs::default() };
    let attempts = [
        (strong.clone(), json!({ "acr": "password" }), false),
        (strong, json!({ "acr": "strong" }), true),
        (fresh.clone(), json!({ "auth_time": super::NOW.unix_seconds() - 5000 }), false),
        (fresh.clone(), json!({ "auth_time": null }), false),
        // Within the leeway of clocks, and yet too old for the page: the session is real, the page is not reached.
        (fresh.clone(), json!({ "auth_time": super::NOW.unix_seconds() - 60 }), false),
        (fresh, json!({ "auth_time": super::NOW.unix_seconds() - 5 }), true),
    ];
    for (needs, claims, enough) in attempts {
        browser.jar.clear();
        house.providers[0].script(|script| script.claims = claims.clone());
        let sent = browser.get(&house.request(&bind, |request| request.needs = needs.clone())).await;
        let back = house.providers[0].authorize(&sent.location());
        let got = browser.get(&path(&back)).await;
        assert_eq!((got.is_redirect(), got.status() == 403), (enough, !enough), "{claims}");
        assert!(enough || got.body().contains("not enough"), "{claims}");
    }
}

#[tokio::test]
async fn nothing_is_revealed_before_the_broker_has_it() {
    let house = House::new().await;
    let (mut browser, back) = returning(&house).await;
    house.store.set_down(true);
    let away = browser.get(&path(&back)).await;
    assert_eq!((away.status(), away.is_redirect()), (503, false));
    assert!(browser.session_cookie().is_none());
    house.store.set_down(false);
    let (mut browser, back) = returning(&house).await;
    assert!(house.handed_over(&browser.get(&path(&back)).await.location_text()).is_some());
}
