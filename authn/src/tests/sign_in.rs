//! From the host that asks to the provider.

use std::sync::Arc;
use std::time::Duration;

use portcullis_handover::{Bind, HandOver, ReturnPath, SignInRequest};
use portcullis_identity::{Needs, ProviderName};
use portcullis_keys::{KeyRing, SystemRandom};

use super::provider::Fault;
use super::{AUTH, FOREIGN, House, NOW, SAME_ORIGIN};

#[tokio::test]
async fn a_sign_in_ends_on_the_host_that_asked_with_a_session_of_its_own() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let sent = browser.get(&house.request(&bind, |_| {})).await;
    assert_eq!(sent.status(), 302);
    assert!(sent.location_text().starts_with(&format!("{}/authorize?", house.providers[0].issuer())));
    assert_eq!(sent.0.headers()["referrer-policy"], "no-referrer");
    assert!(house.store.keys().is_empty(), "nothing is kept before a person has authenticated");

    let back = house.providers[0].authorize(&sent.location());
    assert!(back.as_str().starts_with("https://auth.corp.test/.portcullis/oidc/callback?"));
    let done = browser.get(&super::browser::path(&back)).await;
    let hand_over: HandOver = house.handed_over(&done.location_text()).unwrap();
    assert_eq!((hand_over.return_path.as_str(), hand_over.attempt), ("/page?id=5", 1));
    assert!(bind.matches(&hand_over.bind));
    let session = house.store.session(&hand_over.handle.key()).unwrap();
    assert_eq!((&*session.subject.email, session.provider.as_str()), ("alice@corp.test", "corp"));
    assert_eq!(session.expires_at, NOW.saturating_add(Duration::from_secs(14 * 3600)));
    let groups: Vec<_> =
        session.subject.groups.iter().flat_map(|groups| groups.iter()).map(|group| &*group.id).collect();
    assert_eq!(groups, ["admins", "staff"]);
    assert!(browser.session_cookie().is_some());
    assert!(house.counted("portcullis_sign_ins_total{provider=\"corp\",result=\"ok\"} 1"));
    assert!(house.counted("portcullis_provider_calls_total{call=\"token\",provider=\"corp\",result=\"ok\"} 1"));
}

#[tokio::test]
async fn a_second_host_needs_no_second_sign_in() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let first = house.sign_in(&mut browser, &bind).await;
    let again = browser.get(&house.request(&bind, |request| request.host = "other.apps.corp.test".to_owned())).await;
    let sealed = again.location_text();
    let sealed = sealed.strip_prefix("https://other.apps.corp.test/.portcullis/callback?h=").unwrap();
    let second = HandOver::open(sealed, &house.keys.handover().unwrap(), "other.apps.corp.test", NOW).unwrap();
    assert_eq!(second.handle.key(), first.handle.key());
    assert_ne!(second.id, first.id, "each hand-over is one of its own");
    assert!(house.counted("portcullis_sign_ins_total{provider=\"corp\",result=\"reused\"} 1"));
    // Another browser has no such session.
    let stranger = house.browser().get(&house.request(&bind, |_| {})).await;
    assert!(stranger.location_text().starts_with(house.providers[0].issuer()));
}

#[tokio::test]
async fn a_sealed_message_of_a_host_that_no_route_serves_moves_nobody() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    house.sign_in(&mut browser, &bind).await;
    for (host, served) in [
        ("evil.example", false),
        ("apps.corp.test", false),
        ("x.apps.corp.test.evil.example", false),
        ("x.apps.corp.test", true),
    ] {
        let asked = |program: Option<&str>| {
            house.request(&bind, |request| {
                request.host = host.to_owned();
                request.programmatic = program.map(str::to_owned);
            })
        };
        let got = browser.get(&asked(None)).await;
        assert_eq!((got.status(), got.is_redirect()), if served { (302, true) } else { (400, false) }, "{host}");
        let got = browser.get(&asked(Some("http://127.0.0.1:4711/"))).await;
        assert_eq!(got.status() == 400, !served, "{host}");
        // Nor does a stranger get as far as the provider.
        assert_eq!(house.browser().get(&asked(None)).await.status(), if served { 302 } else { 400 }, "{host}");
    }
}

#[tokio::test]
async fn a_host_that_lost_its_route_while_somebody_signed_in_gets_nothing() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let asked = house.request(&bind, |request| request.host = "x.apps.corp.test".to_owned());
    let sent = browser.get(&asked).await;
    let back = house.providers[0].authorize(&sent.location());
    house.publish(super::config_of(&house.providers, "", ""), None);
    let done = browser.get(&super::browser::path(&back)).await;
    assert_eq!((done.status(), done.is_redirect()), (400, false));
    assert!(house.store.keys().is_empty());
}

#[tokio::test]
async fn a_session_that_falls_short_is_asked_for_more_and_not_handed_over() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    house.sign_in(&mut browser, &bind).await;
    let needs = |needs: Needs| house.request(&bind, |request| request.needs = needs);
    let corp: Arc<[_]> = Arc::new([ProviderName::new("corp")]);

    let fresh =
        needs(Needs { max_age: Some(Duration::from_secs(60)), providers: Arc::clone(&corp), ..Needs::default() });
    let enough = browser.get(&fresh).await;
    assert!(house.handed_over(&enough.location_text()).is_some(), "signed in 5 s ago");
    house.advance(Duration::from_secs(120));
    let fresh = house.request(&bind, |request| {
        request.needs =
            Needs { max_age: Some(Duration::from_secs(60)), providers: Arc::clone(&corp), ..Needs::default() };
    });
    let sent = browser.get(&fresh).await.location_text();
    assert!(sent.contains("max_age=60") && sent.contains("login_hint=alice%40corp.test"), "{sent}");

    let partners = house.request(&bind, |request| {
        request.needs.providers = Arc::new([ProviderName::new("partners")]);
    });
    let sent = browser.get(&partners).await.location_text();
    assert!(sent.starts_with(house.providers[1].issuer()) && !sent.contains("login_hint"), "{sent}");

    let other_account = house.request(&bind, |request| request.fresh_account = true);
    let sent = browser.get(&other_account).await.location_text();
    assert!(sent.contains("prompt=select_account") && !sent.contains("login_hint"), "{sent}");

    house.advance(Duration::from_secs(15 * 3600));
    let over = browser.get(&house.request(&bind, |_| {})).await;
    assert!(over.location_text().starts_with(house.providers[0].issuer()), "a session that is over is none");
}

#[tokio::test]
async fn several_providers_are_a_choice_and_only_theirs() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let any = house.request(&bind, |request| request.needs = Needs::default());
    let page = browser.get(&any).await;
    assert_eq!(page.status(), 200);
    assert!(page.body().contains("Corp") && page.body().contains("Partners"));
    assert!(page.body().contains("provider=partners") && page.body().contains(super::WIKI));
    assert!(browser.jar.is_empty(), "looking at the choice leaves nothing behind");

    let chosen = browser.get(&format!("{any}&provider=partners")).await;
    assert!(chosen.location_text().starts_with(house.providers[1].issuer()));
    // A provider that does not count here is not chosen by naming it.
    let only_corp = house.request(&bind, |_| {});
    let named = browser.get(&format!("{only_corp}&provider=partners")).await;
    assert!(named.location_text().starts_with(house.providers[0].issuer()));
    let nobody = house.request(&bind, |request| request.needs.providers = Arc::new([ProviderName::new("gone")]));
    let refused = browser.get(&nobody).await;
    assert_eq!((refused.status(), refused.is_redirect()), (403, false));
}

#[tokio::test]
async fn only_a_current_sealed_message_says_where_to_return_to() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let good = house.request(&bind, |_| {});
    assert_eq!(browser.get(&good).await.status(), 302);

    let message = SignInRequest {
        host: "evil.test".to_owned(),
        return_path: ReturnPath::root(),
        needs: Needs::default(),
        bind: bind.digest(),
        issued: NOW,
        attempt: 0,
        fresh_account: false,
        programmatic: None,
    };
    let foreign_keys = KeyRing::generate(&SystemRandom).0.handover().unwrap();
    let forged = message.seal(&foreign_keys, AUTH, &SystemRandom);
    let elsewhere = message.seal(&house.keys.handover().unwrap(), "other.test", &SystemRandom);
    let unusable = [
        format!("/.portcullis/sign_in?r={forged}"),
        format!("/.portcullis/sign_in?r={elsewhere}"),
        "/.portcullis/sign_in?r=".to_owned(),
        "/.portcullis/sign_in?r=https://evil.test/".to_owned(),
        format!("{good}&r=x"),
    ];
    for path in unusable {
        let refused = browser.get(&path).await;
        assert_eq!((refused.status(), refused.is_redirect()), (400, false), "{path}");
        assert!(!refused.body().contains("evil.test"), "{path}");
    }
    house.advance(Duration::from_secs(606));
    assert_eq!(browser.get(&good).await.status(), 400, "ten minutes old");
}

#[tokio::test]
async fn without_a_message_people_sign_in_to_the_sign_in_host_itself() {
    let house = House::new().await;
    let mut browser = house.browser();
    let sent = browser.get("/.portcullis/sign_in?provider=corp").await;
    let back = house.providers[0].authorize(&sent.location());
    let done = browser.get(&super::browser::path(&back)).await;
    assert_eq!(done.location_text(), "/.portcullis/user");
    let page = browser.get("/.portcullis/user").await;
    assert!(page.status() == 200 && page.body().contains("alice@corp.test"));
    let json = browser.send("GET", "/.portcullis/user", &[("accept", "application/json")]).await;
    let json: serde_json::Value = serde_json::from_str(json.body()).unwrap();
    assert_eq!(json["email"], "alice@corp.test");

    let mut stranger = house.browser();
    let page = stranger.get("/.portcullis/user").await;
    assert_eq!((page.status(), page.location_text().as_str()), (302, "/.portcullis/sign_in"));
    let json = stranger.send("GET", "/.portcullis/user", &[("accept", "application/json")]).await;
    assert_eq!((json.status(), json.is_redirect()), (401, false));
}

#[tokio::test]
async fn a_provider_that_is_away_costs_new_sign_ins_only() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let mut signed_in = house.browser();
    house.sign_in(&mut signed_in, &bind).await;
    house.providers[1].fault("/.well-known/openid-configuration", Fault::Status(503));
    let request = house.request(&bind, |request| request.needs.providers = Arc::new([ProviderName::new("partners")]));
    let away = browser.get(&request).await;
    assert_eq!(away.status(), 503);
    assert!(away.0.headers().contains_key("retry-after") && away.body().contains("Partners"));
    let statuses: Vec<_> =
        house.authn.providers().into_iter().map(|read| (read.name.to_string(), read.status)).collect();
    assert!(
        matches!(&statuses[..], [(corp, portcullis_oidc::ProviderStatus::Reachable { .. }), (_, portcullis_oidc::ProviderStatus::Failing { .. })] if corp == "corp")
    );
    let goes_on = signed_in.get(&house.request(&bind, |_| {})).await;
    assert!(house.handed_over(&goes_on.location_text()).is_some());
    // It comes back.
    house.providers[1].script(|script| script.faults.clear());
    assert_eq!(browser.get(&request).await.status(), 302);
}

#[tokio::test]
async fn a_broker_that_is_away_sends_nobody_to_the_provider_in_vain() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    house.sign_in(&mut browser, &bind).await;
    house.store.set_down(true);
    let away = browser.get(&house.request(&bind, |_| {})).await;
    assert!(away.status() == 503 && away.0.headers().contains_key("retry-after"));
    house.store.set_down(false);
    assert_eq!(browser.get(&house.request(&bind, |_| {})).await.status(), 302);
}

#[tokio::test]
async fn a_local_program_gets_its_credential_after_a_click_on_our_own_page() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let first = house.sign_in(&mut browser, &bind).await;
    let program = |url: &str| {
        let url = url.to_owned();
        house.request(&bind, |request| request.programmatic = Some(url))
    };
    // Whoever opens the link is asked; nothing has been sent yet.
    let page = browser.get(&program("http://127.0.0.1:4711/cb?x=1")).await;
    assert_eq!((page.status(), page.is_redirect()), (200, false));
    let body = page.body();
    assert!(body.contains("http://127.0.0.1:4711<") && body.contains(super::WIKI) && body.contains("alice@corp.test"));
    assert!(!body.contains("portcullis_credential") && !body.contains("x=1"), "{body}");
    let action = body.split("action=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(action.starts_with("/.portcullis/sign_in?r="));

    // Another site's form is asked as well, and so is one that does not say where it comes from.
    for headers in FOREIGN {
        let got = browser.send("POST", &action, headers).await;
        assert_eq!((got.status(), got.is_redirect()), (200, false), "{headers:?}");
    }
    let clicked = [SAME_ORIGIN];
    let got = browser.send("POST", &action, &clicked).await;
    assert_eq!(got.status(), 303);
    let sent = got.location();
    assert!(sent.as_str().starts_with("http://127.0.0.1:4711/cb?x=1&portcullis_credential="));
    let credential = sent.query_pairs().find(|pair| pair.0 == "portcullis_credential").unwrap().1.into_owned();
    let keys = house.keys.credential().unwrap();
    let kind = portcullis_keys::CredentialKind::Session;
    let handle = keys.verify(kind, credential.as_bytes(), super::WIKI).unwrap();
    // A session of its own, of the same person: the browser's credential is not the program's.
    assert_ne!(handle.key(), first.handle.key());
    let (own, of) = (house.store.session(&handle.key()).unwrap(), house.store.session(&first.handle.key()).unwrap());
    assert_eq!((&own.principal, own.expires_at), (&of.principal, of.expires_at));
    let page = browser.get("/.portcullis/user").await;
    assert!(page.body().contains(super::WIKI), "its person sees what it is for: {}", page.body());

    // The click is worth nothing in a browser without a session, for a page that is no program's, or later.
    let stranger = house.browser().send("POST", &action, &clicked).await.location_text();
    assert!(stranger.starts_with(house.providers[0].issuer()), "{stranger}");
    assert_eq!(browser.send("POST", &house.request(&bind, |_| {}), &clicked).await.status(), 405);
    assert_eq!(browser.get(&program("javascript:alert(1)")).await.status(), 400);
    house.advance(Duration::from_secs(11 * 60));
    assert_eq!(browser.send("POST", &action, &clicked).await.status(), 400);
}

#[tokio::test]
async fn a_sign_in_for_a_program_ends_with_the_question() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    let asked = house.request(&bind, |request| request.programmatic = Some("http://localhost:4711/".to_owned()));
    let sent = browser.get(&asked).await;
    let back = house.providers[0].authorize(&sent.location());
    let page = browser.get(&super::browser::path(&back)).await;
    assert_eq!((page.status(), page.is_redirect()), (200, false));
    assert!(page.body().contains("http://localhost:4711") && browser.session_cookie().is_some());
}

#[tokio::test]
async fn a_neighbours_cookie_hides_none_of_ours() {
    let house = House::new().await;
    let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
    browser.jar.insert("a-name".to_owned(), "Jos\u{e9}".to_owned());
    house.sign_in(&mut browser, &bind).await;
    let again = browser.get(&house.request(&bind, |_| {})).await;
    assert!(house.handed_over(&again.location_text()).is_some());
}

#[tokio::test]
async fn what_is_not_ours_is_not_there_and_answers_to_its_own_methods() {
    let house = House::new().await;
    let mut browser = house.browser();
    for path in ["/admin", "/.portcullis/", "/.portcullis/callback", "/.portcullis/nothing", "/.pomerium/sign_in"] {
        let got = browser.get(path).await;
        let expected = if path == "/.portcullis/" { 302 } else { 404 };
        assert_eq!(got.status(), expected, "{path}");
    }
    for path in ["/.portcullis/sign_in", "/.portcullis/oidc/callback", "/.portcullis/user", "/"] {
        assert_eq!(browser.send("POST", path, &[]).await.status(), 405, "{path}");
    }
    assert_eq!(browser.get("/ping").await.status(), 200);
    let document = browser.get("/.well-known/portcullis/").await;
    let document: serde_json::Value = serde_json::from_str(document.body()).unwrap();
    assert_eq!(document["authentication_callback_endpoint"], "https://auth.corp.test/.portcullis/oidc/callback");
    let head = browser.send("HEAD", "/.portcullis/signed_out", &[]).await;
    assert_eq!((head.status(), head.body()), (200, ""));
}
