//! A message opens for its receiver, in its time, unchanged; else nothing of it is known.

use portcullis_keys::{KeyRing, SystemRandom};
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);
const A: &str = "auth.corp.test";
const H: &str = "wiki.corp.test";

fn keys() -> SealKeys {
    KeyRing::generate(&SystemRandom).0.handover().unwrap()
}

fn request() -> SignInRequest {
    SignInRequest {
        host: H.into(),
        return_path: ReturnPath::new("/page?id=5#part").unwrap(),
        needs: Needs {
            providers: [ProviderName::new("corp"), ProviderName::new("partners")].into(),
            max_age: Some(Duration::from_secs(0)),
            acr: ["phr".into()].into(),
        },
        bind: [1; 32],
        issued: NOW,
        attempt: 1,
        fresh_account: true,
        programmatic: Some("http://localhost:8000/cb".into()),
    }
}

fn hand_over() -> HandOver {
    HandOver {
        host: H.into(),
        handle: Handle::from_bytes([2; 16]),
        return_path: ReturnPath::root(),
        bind: [3; 32],
        id: [4; 16],
        issued: NOW,
        attempt: 1,
    }
}

fn order() -> SignOutOrder {
    SignOutOrder {
        host: H.into(),
        session: SessionKey::from_bytes([5; 32]),
        return_to: Some(ReturnPath::new("/bye").unwrap()),
        issued: NOW,
    }
}

#[test]
fn messages_arrive_whole() {
    let keys = keys();
    let sealed = request().seal(&keys, A, &SystemRandom);
    assert_eq!(SignInRequest::open(&sealed, &keys, A, NOW).unwrap(), request());
    let plain = SignInRequest { needs: Needs::default(), programmatic: None, fresh_account: false, ..request() };
    assert_eq!(SignInRequest::open(&plain.seal(&keys, A, &SystemRandom), &keys, A, NOW).unwrap(), plain);

    let opened = HandOver::open(&hand_over().seal(&keys, &SystemRandom), &keys, H, NOW).unwrap();
    let HandOver { host, handle, return_path, bind, id, issued, attempt } = hand_over();
    assert_eq!((opened.host, opened.handle.key(), opened.return_path), (host, handle.key(), return_path));
    assert_eq!((opened.bind, opened.id, opened.issued, opened.attempt), (bind, id, issued, attempt));

    let sealed = order().seal(&keys, A, &SystemRandom);
    assert_eq!(SignOutOrder::open(&sealed, &keys, A, NOW).unwrap(), order());
    let plain = SignOutOrder { return_to: None, ..order() };
    assert_eq!(SignOutOrder::open(&plain.seal(&keys, A, &SystemRandom), &keys, A, NOW).unwrap(), plain);
}

#[test]
fn another_receiver_another_cluster_and_another_purpose_know_nothing() {
    let ring = KeyRing::generate(&SystemRandom).0;
    let keys = ring.handover().unwrap();
    let sealed = hand_over().seal(&keys, &SystemRandom);
    assert!(HandOver::open(&sealed, &keys, H, NOW).is_ok());
    assert_eq!(HandOver::open(&sealed, &keys, "chat.corp.test", NOW).unwrap_err(), HandoverError::Forged);
    assert_eq!(HandOver::open(&sealed, &self::keys(), H, NOW).unwrap_err(), HandoverError::Forged);
    assert_eq!(HandOver::open(&sealed, &ring.store().unwrap(), H, NOW).unwrap_err(), HandoverError::Forged);
    let sealed = request().seal(&keys, A, &SystemRandom);
    assert_eq!(SignInRequest::open(&sealed, &keys, H, NOW).unwrap_err(), HandoverError::Forged);
}

#[test]
fn one_kind_is_not_taken_for_another() {
    let keys = keys();
    let (request, order) = (request().seal(&keys, A, &SystemRandom), order().seal(&keys, A, &SystemRandom));
    let hand_over = HandOver { host: A.into(), ..hand_over() }.seal(&keys, &SystemRandom);
    for wrong in [&order, &hand_over] {
        assert_eq!(SignInRequest::open(wrong, &keys, A, NOW).unwrap_err(), HandoverError::Malformed);
    }
    for wrong in [&request, &order] {
        assert_eq!(HandOver::open(wrong, &keys, A, NOW).unwrap_err(), HandoverError::Malformed);
    }
    for wrong in [&request, &hand_over] {
        assert_eq!(SignOutOrder::open(wrong, &keys, A, NOW).unwrap_err(), HandoverError::Malformed);
    }
    assert!(HandOver::open(&hand_over, &keys, A, NOW).is_ok());
}

#[test]
fn messages_have_their_time() {
    let keys = keys();
    let at = |seconds: i64| Timestamp::from_unix_seconds(NOW.unix_seconds() + seconds);
    let sealed = hand_over().seal(&keys, &SystemRandom);
    let opens = |seconds| HandOver::open(&sealed, &keys, H, at(seconds)).map(|_| ());
    assert_eq!([opens(-5), opens(0), opens(60), opens(65)], [Ok(()); 4]);
    assert_eq!(opens(-6), Err(HandoverError::NotYet { ahead: Duration::from_secs(6) }));
    assert_eq!(opens(66), Err(HandoverError::Expired { age: Duration::from_secs(66) }));
    assert!(hand_over().until() > at(65), "remembered for longer than it opens");

    let sealed = request().seal(&keys, A, &SystemRandom);
    assert!(SignInRequest::open(&sealed, &keys, A, at(605)).is_ok());
    let late = SignInRequest::open(&sealed, &keys, A, at(606));
    assert_eq!(late.unwrap_err(), HandoverError::Expired { age: Duration::from_secs(606) });

    let sealed = order().seal(&keys, A, &SystemRandom);
    assert!(SignOutOrder::open(&sealed, &keys, A, at(65)).is_ok());
    let late = SignOutOrder::open(&sealed, &keys, A, at(66));
    assert_eq!(late.unwrap_err(), HandoverError::Expired { age: Duration::from_secs(66) });
    for extreme in [i64::MIN, i64::MAX] {
        assert!(
            HandOver::open(&hand_over().seal(&keys, &SystemRandom), &keys, H, Timestamp::from_unix_millis(extreme))
                .is_err()
        );
    }
}

#[test]
fn a_message_says_its_fields_and_nothing_more() {
    let keys = keys();
    let sealed = hand_over().seal(&keys, &SystemRandom);
    let plain = keys.open(H, &sealed).unwrap();
    let open = |plain: &[u8]| HandOver::open(&keys.seal(H, plain, &SystemRandom), &keys, H, NOW);
    assert!(open(&plain).is_ok());
    assert_eq!(open(&[&plain[..], &[0]].concat()).unwrap_err(), HandoverError::Malformed);
    for length in 0..plain.len() {
        assert_eq!(open(&plain[..length]).unwrap_err(), HandoverError::Malformed, "cut to {length}");
    }
    let mut version = plain;
    version[0] = 2;
    assert_eq!(open(&version).unwrap_err(), HandoverError::Malformed);
    // Sealed for H by somebody with the key, but speaking of another host.
    let other = HandOver { host: "evil.corp.test".into(), ..hand_over() };
    let moved = keys.seal(H, &keys.open("evil.corp.test", &other.seal(&keys, &SystemRandom)).unwrap(), &SystemRandom);
    assert_eq!(HandOver::open(&moved, &keys, H, NOW).unwrap_err(), HandoverError::Forged);
}

#[test]
fn a_sealed_message_cannot_carry_an_unsafe_return_path() {
    let keys = keys();
    for path in ["//evil.test", "https://evil.test", "/\\evil.test", "/a\nb"] {
        let plain = Kind::HandOver.writer(NOW).text(H).bytes(&[0; 16]).text(path).bytes(&[0; 48]).byte(0).finish();
        let sealed = keys.seal(H, &plain, &SystemRandom);
        assert_eq!(HandOver::open(&sealed, &keys, H, NOW).unwrap_err(), HandoverError::Malformed, "{path}");
    }
    let plain = Kind::HandOver.writer(NOW).text(H).bytes(&[0; 16]).text("/safe").bytes(&[0; 48]).byte(0).finish();
    assert!(HandOver::open(&keys.seal(H, &plain, &SystemRandom), &keys, H, NOW).is_ok());
}

#[test]
fn debug_shows_no_handle() {
    let shown = format!("{:?}", hand_over());
    assert!(shown.starts_with("HandOver { host: \"wiki.corp.test\"") && !shown.contains("handle"), "{shown}");
}

proptest! {
    #[test]
    fn no_mutated_text_opens(at in 0..300_usize, other in "[A-Za-z0-9_=. -]") {
        let keys = keys();
        let sealed = request().seal(&keys, A, &SystemRandom);
        let at = at % sealed.len();
        let mut chars: Vec<char> = sealed.chars().collect();
        chars[at] = other.chars().next().unwrap();
        let changed: String = chars.into_iter().collect();
        prop_assert_eq!(SignInRequest::open(&changed, &keys, A, NOW).is_ok(), changed == sealed);
    }

    #[test]
    fn no_text_makes_a_reader_panic(plain: Vec<u8>, noise in "\\PC{0,100}") {
        let keys = keys();
        for kind in [Kind::SignInRequest, Kind::HandOver, Kind::SignOutOrder] {
            let framed = [&kind.writer(NOW).finish()[..], &plain].concat();
            let text = keys.seal(A, &framed, &SystemRandom);
            let _ = SignInRequest::open(&text, &keys, A, NOW).is_ok();
            let _ = HandOver::open(&text, &keys, A, NOW).is_ok();
            let _ = SignOutOrder::open(&text, &keys, A, NOW).is_ok();
        }
        prop_assert!(SignInRequest::open(&noise, &keys, A, NOW).is_err());
    }

    #[test]
    fn needs_and_paths_survive(
        path in "/[a-z0-9?=&%/.-]{0,200}",
        providers in proptest::collection::vec("[a-z]{1,20}", 0..5),
        acr in proptest::collection::vec("[a-z:/]{1,40}", 0..5),
        age in proptest::option::of(0..i64::MAX.unsigned_abs()),
    ) {
        let needs = Needs {
            providers: providers.into_iter().map(ProviderName::new).collect(),
            max_age: age.map(Duration::from_secs),
            acr: acr.into_iter().map(std::sync::Arc::from).collect(),
        };
        let sent = SignInRequest { return_path: ReturnPath::or_root(&path), needs, ..request() };
        let keys = keys();
        prop_assert_eq!(SignInRequest::open(&sent.seal(&keys, A, &SystemRandom), &keys, A, NOW).unwrap(), sent);
    }
}
