//! What goes through the wire comes back, what is wrong is refused, and what is secret is not shown.

use std::sync::Arc;
use std::time::Duration;

use portcullis_identity::{Group, Principal, ProviderName, SecretText, SessionKey, Timestamp};
use proptest::option;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::generated as proto;
use super::{
    WireError, create_request, end_request, end_selector, ended_message, new_session, session, session_message,
};
use crate::{EndReason, EndSelector, Ended, LogoutHint, NewSession, Profile, Tokens};

/// Breaks one thing in a good session.
type Bend = fn(&mut proto::Session);

fn sample() -> NewSession {
    NewSession {
        key: SessionKey::from_bytes([5; 32]),
        principal: Principal { issuer: "https://idp.corp.test".into(), subject: "canary-sub".into() },
        provider: ProviderName::new("corp"),
        provider_session: None,
        profile: Profile { email: "canary@corp.test".into(), ..Profile::default() },
        claims_json: r#"{"a":"canary-claim"}"#.to_owned(),
        authenticated_at: Timestamp::EPOCH,
        acr: None,
        expires_at: Timestamp::MAX,
        idle: None,
        tokens: Tokens {
            access_token: Some(SecretText::new("canary-access")),
            refresh_token: Some(SecretText::new("canary-refresh")),
            id_token: Some(SecretText::new("canary-id")),
            expires_at: None,
        },
    }
}

#[test]
fn no_debug_shows_a_token_or_a_claim() {
    let new = sample();
    let request = create_request(&new);
    let hint = LogoutHint {
        provider: ProviderName::new("corp"),
        id_token: Some(SecretText::new("canary-id")),
        access_token: Some(SecretText::new("canary-access")),
    };
    let over = Ended { key: new.key, logout: Some(hint) };
    let message = ended_message(&over);
    let answer = proto::AccessTokenAnswer { access_token: Some("canary".to_owned()), id_token: None, expires_at: None };
    for shown in [
        format!("{new:?} {:?}", new.tokens),
        format!("{request:?} {request:#?}"),
        format!("{over:?} {message:?} {answer:?}"),
        format!("{:?}", request.session.as_ref().and_then(|session| session.profile.as_ref())),
    ] {
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn a_message_that_lacks_or_bends_a_field_is_refused() {
    let good = || create_request(&sample());
    assert!(new_session(good()).is_ok());
    let bend: [(&str, Bend); 10] = [
        ("principal", |session| session.principal = None),
        ("issuer", |session| session.principal.as_mut().unwrap().issuer.clear()),
        ("subject", |session| session.principal.as_mut().unwrap().subject.clear()),
        ("provider", |session| session.provider.clear()),
        ("profile", |session| session.profile = None),
        ("key", |session| session.key.truncate(31)),
        ("acr", |session| session.acr = Some("x".repeat(4097))),
        ("email", |session| session.profile.as_mut().unwrap().email = "x".repeat(4097)),
        ("group.id", |session| {
            let group = vec![proto::Group::default()];
            session.profile.as_mut().unwrap().groups = Some(proto::Groups { group });
        }),
        ("groups", |session| {
            let group = vec![proto::Group { id: "g".to_owned(), ..Default::default() }; 4097];
            session.profile.as_mut().unwrap().groups = Some(proto::Groups { group });
        }),
    ];
    for (expected, bend) in bend {
        let mut request = good();
        bend(request.session.as_mut().unwrap());
        match new_session(request.clone()) {
            Err(WireError::Missing { field } | WireError::OutOfRange { field }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
        assert!(session(request.session.unwrap()).is_err(), "{expected}");
    }
    let mut request = good();
    request.tokens.as_mut().unwrap().id_token = Some("x".repeat(65_537));
    assert!(matches!(new_session(request), Err(WireError::OutOfRange { field: "id_token" })));
    for claims in ["", "[]", "{", "null"] {
        let mut request = good();
        request.session.as_mut().unwrap().claims = claims.to_owned();
        assert!(matches!(new_session(request), Err(WireError::Claims(_))), "{claims}");
    }
}

#[test]
fn every_selector_and_reason_comes_back_and_unknown_ones_do_not() {
    let principal = Principal { issuer: "i".into(), subject: "s".into() };
    for selector in [
        EndSelector::Key(SessionKey::from_bytes([5; 32])),
        EndSelector::Principal(principal),
        EndSelector::ProviderSession { issuer: "i".into(), id: "sid".into() },
        EndSelector::User("u".into()),
    ] {
        for reason in EndReason::ALL {
            let back = end_selector(end_request(selector.clone(), reason)).unwrap();
            assert_eq!(back, (selector.clone(), reason));
        }
    }
    let good = || end_request(EndSelector::User("u".into()), EndReason::Revoked);
    assert!(end_selector(proto::EndRequest { selector: None, ..good() }).is_err());
    for reason in [0, 6, -1] {
        assert!(end_selector(proto::EndRequest { reason, ..good() }).is_err(), "{reason}");
    }
}

fn texts() -> impl Strategy<Value = Arc<str>> {
    "\\PC{1,20}".prop_map(Arc::from)
}

fn secrets() -> impl Strategy<Value = Option<SecretText>> {
    option::of("[ -~]{0,20}".prop_map(SecretText::new))
}

fn new_sessions() -> impl Strategy<Value = NewSession> {
    let group = (texts(), texts()).prop_map(|(id, name)| Group { id, name, email: "".into() });
    let groups = option::of(proptest::collection::vec(group, 0..4).prop_map(|groups| groups.into_iter().collect()));
    let who = (any::<[u8; 32]>(), texts(), texts(), texts(), option::of(texts()));
    let seen = (texts(), texts(), texts(), groups, "[a-z]{0,8}");
    let when = (any::<i64>(), any::<i64>(), option::of(any::<u64>()), option::of(texts()));
    let tokens = (secrets(), secrets(), secrets(), option::of(any::<i64>()));
    (who, seen, when, tokens).prop_map(|(who, seen, when, tokens)| {
        let (bytes, issuer, subject, provider, provider_session) = who;
        let (user_id, email, name, groups, claim) = seen;
        let (authenticated_at, expires_at, idle, acr) = when;
        let (access_token, refresh_token, id_token, ends) = tokens;
        NewSession {
            key: SessionKey::from_bytes(bytes),
            principal: Principal { issuer, subject },
            provider: ProviderName::new(provider),
            provider_session,
            profile: Profile { user_id, email, name, groups },
            claims_json: format!(r#"{{"claim":"{claim}"}}"#),
            authenticated_at: Timestamp::from_unix_millis(authenticated_at),
            acr,
            expires_at: Timestamp::from_unix_millis(expires_at),
            idle: idle.map(Duration::from_millis),
            tokens: Tokens { access_token, refresh_token, id_token, expires_at: ends.map(Timestamp::from_unix_millis) },
        }
    })
}

proptest! {
    #[test]
    fn a_session_comes_back_as_it_went(new in new_sessions(), used in any::<i64>()) {
        let back = new_session(create_request(&new)).unwrap();
        prop_assert_eq!(&back.key, &new.key);
        prop_assert_eq!(&back.principal, &new.principal);
        prop_assert_eq!(&back.provider, &new.provider);
        prop_assert_eq!(&back.provider_session, &new.provider_session);
        prop_assert_eq!(&back.profile, &new.profile);
        prop_assert_eq!(&back.claims_json, &new.claims_json);
        prop_assert_eq!((back.authenticated_at, back.expires_at), (new.authenticated_at, new.expires_at));
        prop_assert_eq!((&back.acr, back.idle), (&new.acr, new.idle));
        prop_assert_eq!(&back.tokens, &new.tokens);

        let seen = session(session_message(&new, Timestamp::from_unix_millis(used))).unwrap();
        prop_assert_eq!(seen.key, new.key);
        prop_assert_eq!(seen.principal, new.principal);
        prop_assert_eq!(&seen.subject.email, &new.profile.email);
        prop_assert_eq!(&seen.subject.groups, &new.profile.groups);
        prop_assert_eq!(seen.last_used.unix_millis(), used);
        prop_assert_eq!((seen.expires_at, seen.idle, &seen.acr), (new.expires_at, new.idle, &new.acr));
    }
}
