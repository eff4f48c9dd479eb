//! What each call does, and what it refuses beside it.

use std::sync::Arc;
use std::time::Duration;

use portcullis_broker_api::{BrokerError, CreateError, EndReason, EndSelector, RedeemError};
use portcullis_identity::{Clock as _, Principal, SessionKey, Timestamp};

use crate::house::{DIGEST, House, NOW, key};

#[tokio::test]
async fn a_created_session_is_fetched_as_it_was_made() {
    let house = House::new();
    let made = house.authn().create(house.new_session("a")).await.unwrap();
    let found = house.proxy().fetch(&key("a")).await.unwrap().unwrap();
    assert!(made.version > 0);
    assert_eq!((found.key, found.version), (key("a"), made.version));
    assert_eq!(&*found.principal.subject, "alice");
    assert_eq!(found.provider.as_str(), "corp");
    assert_eq!(found.provider_session.as_deref(), Some("idp-session-1"));
    assert_eq!(
        (&*found.subject.user_id, &*found.subject.email, &*found.subject.name),
        ("alice", "alice@corp.test", "Alice")
    );
    assert_eq!(found.subject.claims.text("department"), Some("canary-claim"));
    assert!(found.subject.groups.as_ref().unwrap().has("admins"));
    assert_eq!(found.acr.as_deref(), Some("phr"));
    assert_eq!((found.authenticated_at, found.last_used), (NOW, NOW));
    assert_eq!(found.expires_at, NOW.saturating_add(Duration::from_secs(3600)));
    assert!(house.proxy().fetch(&key("b")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_is_taken_once() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let again = house.authn().create(house.new_session("a")).await;
    assert!(matches!(again, Err(CreateError::Exists)), "{again:?}");
}

#[tokio::test]
async fn claims_up_to_the_bound_are_kept_and_beyond_it_refused() {
    let house = House::new();
    let with_claims = |name: &str, bytes: usize| {
        let mut new = house.new_session(name);
        new.claims_json = format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
        assert_eq!(new.claims_json.len(), bytes);
        new
    };
    house.authn().create(with_claims("a", 64 * 1024)).await.unwrap();
    let refused = house.authn().create(with_claims("b", 64 * 1024 + 1)).await;
    assert!(matches!(refused, Err(CreateError::ClaimsTooLarge { bytes: 65_537 })), "{refused:?}");
    let mut broken = house.new_session("c");
    broken.claims_json = "[]".to_owned();
    let refused = house.authn().create(broken).await;
    assert!(matches!(refused, Err(CreateError::Broker(BrokerError::Refused(_)))), "{refused:?}");
}

#[tokio::test]
async fn a_hand_over_is_redeemed_once_even_after_a_restart() {
    let mut house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let until = NOW.saturating_add(Duration::from_secs(60));
    let session = house.proxy().redeem([1; 16], until, &key("a")).await.unwrap();
    assert_eq!(session.key, key("a"));
    let again = house.proxy().redeem([1; 16], until, &key("a")).await;
    assert!(matches!(again, Err(RedeemError::AlreadyRedeemed)), "{again:?}");
    house.stop().await;
    house.start();
    let again = house.proxy().redeem([1; 16], until, &key("a")).await;
    assert!(matches!(again, Err(RedeemError::AlreadyRedeemed)), "{again:?}");
    house.proxy().redeem([2; 16], until, &key("a")).await.unwrap();
}

#[tokio::test]
async fn a_late_hand_over_is_refused_also_when_its_id_was_forgotten() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let until = NOW.saturating_add(Duration::from_secs(60));
    house.proxy().redeem([1; 16], until, &key("a")).await.unwrap();
    house.clock.advance(Duration::from_secs(600));
    house.broker().sweep().await.unwrap();
    for id in [[1; 16], [2; 16]] {
        let late = house.proxy().redeem(id, until, &key("a")).await;
        assert!(matches!(late, Err(RedeemError::AlreadyRedeemed)), "{late:?}");
    }
    let endless = house.proxy().redeem([3; 16], Timestamp::MAX, &key("a")).await;
    assert!(matches!(endless, Err(RedeemError::AlreadyRedeemed)), "{endless:?}");
}

#[tokio::test]
async fn a_hundred_redeem_at_once_and_one_gets_the_session() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let until = NOW.saturating_add(Duration::from_secs(60));
    let (proxy, wanted) = (house.proxy(), key("a"));
    let all = (0..100).map(|_| proxy.redeem([1; 16], until, &wanted));
    let won = futures_util::future::join_all(all).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_hand_over_for_an_ended_session_gives_nothing() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    house.authn().end(EndSelector::Key(key("a")), EndReason::SignedOut).await.unwrap();
    let until = NOW.saturating_add(Duration::from_secs(60));
    let gone = house.proxy().redeem([1; 16], until, &key("a")).await;
    assert!(matches!(gone, Err(RedeemError::NoSession)), "{gone:?}");
}

#[tokio::test]
async fn each_selector_ends_its_own_sessions_and_no_others() {
    let bob = Principal { issuer: "https://idp.corp.test".into(), subject: "bob".into() };
    let issuer: Arc<str> = "https://idp.corp.test".into();
    for (selector, expected) in [
        (EndSelector::Key(key("a")), &["a"][..]),
        (EndSelector::Principal(bob.clone()), &["bob"]),
        (EndSelector::ProviderSession { issuer: Arc::clone(&issuer), id: "idp-session-1".into() }, &["a", "b"]),
        (EndSelector::ProviderSession { issuer: "https://other.test".into(), id: "idp-session-1".into() }, &[]),
        (EndSelector::User("alice".into()), &["a", "b"]),
        (EndSelector::User("nobody".into()), &[]),
    ] {
        let house = House::new();
        let authn = house.authn();
        authn.create(house.new_session("a")).await.unwrap();
        authn.create(house.new_session("b")).await.unwrap();
        let mut other = house.new_session("bob");
        (other.principal, other.provider_session) = (bob.clone(), Some("idp-session-2".into()));
        other.profile.user_id = "bob".into();
        authn.create(other).await.unwrap();

        let ended = authn.end(selector.clone(), EndReason::Revoked).await.unwrap();
        let mut ended: Vec<SessionKey> = ended.into_iter().map(|ended| ended.key).collect();
        let mut expected: Vec<SessionKey> = expected.iter().map(|name| key(name)).collect();
        ended.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ended, expected, "{selector:?}");
        for name in ["a", "b", "bob"] {
            let lives = house.proxy().fetch(&key(name)).await.unwrap().is_some();
            assert_eq!(lives, !expected.contains(&key(name)), "{name} after {selector:?}");
        }
    }
}

#[tokio::test]
async fn an_empty_selector_is_refused() {
    let house = House::new();
    let refused = house.authn().end(EndSelector::User("".into()), EndReason::Revoked).await;
    assert!(matches!(refused, Err(BrokerError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn authn_gets_the_hint_once_and_a_proxy_never() {
    let house = House::new();
    for (name, by_proxy_first) in [("a", false), ("b", true)] {
        house.authn().create(house.new_session(name)).await.unwrap();
        if by_proxy_first {
            let ended = house.proxy().end(EndSelector::Key(key(name)), EndReason::SignedOut).await.unwrap();
            assert!(matches!(&ended[..], [ended] if ended.logout.is_none()));
        }
        let ended = house.authn().end(EndSelector::Key(key(name)), EndReason::SignedOut).await.unwrap();
        let hint = ended.into_iter().next().unwrap().logout.unwrap();
        assert_eq!(hint.provider.as_str(), "corp");
        assert_eq!(hint.id_token.unwrap().expose(), "canary-id");
        assert_eq!(hint.access_token.unwrap().expose(), "canary-access");
        assert!(house.authn().end(EndSelector::Key(key(name)), EndReason::SignedOut).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_hint_nobody_came_for_is_gone_after_ten_minutes() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    house.proxy().end(EndSelector::Key(key("a")), EndReason::SignedOut).await.unwrap();
    house.clock.advance(Duration::from_secs(600));
    assert!(house.authn().end(EndSelector::Key(key("a")), EndReason::SignedOut).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_session_ends_by_age_and_by_idleness_unless_it_is_used() {
    let mut house = House::new();
    let mut idle = house.new_session("idle");
    idle.idle = Some(Duration::from_secs(600));
    let mut used = house.new_session("used");
    used.idle = Some(Duration::from_secs(600));
    house.authn().create(idle).await.unwrap();
    house.authn().create(used).await.unwrap();
    house.clock.advance(Duration::from_secs(599));
    house.proxy().touch(vec![(key("used"), house.clock.now())]).await.unwrap();
    // The report outlives the broker.
    house.stop().await;
    house.start();
    house.clock.advance(Duration::from_secs(1));
    house.broker().sweep().await.unwrap();
    assert!(house.proxy().fetch(&key("idle")).await.unwrap().is_none());
    let session = house.proxy().fetch(&key("used")).await.unwrap().unwrap();
    assert_eq!(session.last_used, NOW.saturating_add(Duration::from_secs(599)));
    // A report that comes after the end brings nothing back.
    house.proxy().touch(vec![(key("idle"), house.clock.now())]).await.unwrap();
    assert!(house.proxy().fetch(&key("idle")).await.unwrap().is_none());

    for _ in 0..6 {
        house.clock.advance(Duration::from_secs(500));
        house.proxy().touch(vec![(key("used"), house.clock.now())]).await.unwrap();
    }
    assert!(house.proxy().fetch(&key("used")).await.unwrap().is_none(), "no use makes a session last beyond its end");
    house.broker().sweep().await.unwrap();
    assert_eq!(house.broker().status().sessions, 0);
    assert_eq!(house.metric("portcullis_broker_ends_total", Some("expired")), 2, "one by idleness, one by age");
}

#[tokio::test]
async fn a_use_of_the_future_counts_as_now() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    house.clock.advance(Duration::from_secs(5));
    house.proxy().touch(vec![(key("a"), Timestamp::MAX)]).await.unwrap();
    let session = house.proxy().fetch(&key("a")).await.unwrap().unwrap();
    assert_eq!(session.last_used, house.clock.now());
}

#[tokio::test]
async fn an_upstream_gets_access_and_id_token_of_a_live_session() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let tokens = house.proxy().access_token(&key("a"), "wiki").await.unwrap().unwrap();
    assert_eq!(tokens.access_token.unwrap().expose(), "canary-access");
    assert_eq!(tokens.id_token.unwrap().expose(), "canary-id");
    assert_eq!(tokens.expires_at, Some(NOW.saturating_add(Duration::from_secs(300))));
    assert!(house.proxy().access_token(&key("b"), "wiki").await.unwrap().is_none());
}

#[tokio::test]
async fn hello_tells_whether_the_shared_settings_agree() {
    let house = House::new();
    assert!(house.proxy().hello(DIGEST).await.unwrap().agrees);
    assert!(!house.authn().hello([1; 32]).await.unwrap().agrees);
    house.broker().set_digest([1; 32]);
    assert!(house.authn().hello([1; 32]).await.unwrap().agrees);
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_refused() {
    let house = House::new();
    let keys: Vec<SessionKey> = (0..257).map(|number| key(&number.to_string())).collect();
    assert_eq!(house.proxy().fetch_many(&keys[..256]).await.unwrap().sessions.len(), 0);
    assert!(matches!(house.proxy().fetch_many(&keys).await, Err(BrokerError::Refused(_))));
}
