use super::*;

fn entry(person: u8, sid: Option<&str>, expires: i64) -> Entry {
    Entry {
        principal: Principal { issuer: "https://idp.corp.test".into(), subject: format!("p{person}").into() },
        user: format!("p{person}").into(),
        provider: ProviderName::new("corp"),
        provider_session: sid.map(Into::into),
        authenticated_at: Timestamp::EPOCH,
        expires_at: Timestamp::from_unix_seconds(expires),
        idle: None,
        last_used: Timestamp::EPOCH,
        asked_at: Timestamp::EPOCH,
        lease: None,
        attempts: 0,
        refreshing: false,
        wanted: false,
        told: false,
    }
}

fn key(number: u8) -> SessionKey {
    SessionKey::from_bytes([number; 32])
}

#[test]
fn every_name_finds_its_sessions_and_no_others() {
    let mut index = Index::default();
    for number in 0..6 {
        index.insert(key(number), entry(number / 2, (number % 2 == 0).then_some("sid"), i64::from(number) + 1));
    }
    let principal = |person: u8| EndSelector::Principal(entry(person, None, 0).principal);
    let user = |person: &str| EndSelector::User(person.into());
    let provider = |issuer: &str| EndSelector::ProviderSession { issuer: issuer.into(), id: "sid".into() };
    let sorted = |index: &Index, selector: &EndSelector| {
        let mut keys = index.select(selector);
        keys.sort_unstable();
        keys
    };
    assert_eq!(sorted(&index, &principal(1)), [key(2), key(3)]);
    assert_eq!(sorted(&index, &user("p2")), [key(4), key(5)]);
    assert_eq!(sorted(&index, &provider("https://idp.corp.test")), [key(0), key(2), key(4)]);
    assert!(sorted(&index, &provider("https://other.test")).is_empty() && sorted(&index, &user("p9")).is_empty());
    assert_eq!(index.over(Timestamp::from_unix_seconds(2), 9), [key(0), key(1)]);
    assert!(index.remove(&key(2)).is_some() && index.remove(&key(2)).is_none());
    assert_eq!(sorted(&index, &principal(1)), [key(3)]);
    // A slot that is taken again belongs to its new session alone.
    index.insert(key(9), entry(7, Some("other"), 100));
    assert_eq!(sorted(&index, &principal(1)), [key(3)]);
    assert_eq!(sorted(&index, &user("p7")), [key(9)]);
    assert_eq!(sorted(&index, &provider("https://idp.corp.test")), [key(0), key(4)]);
    assert_eq!((index.len(), index.iter().count()), (6, 6));
}

#[test]
fn a_provider_without_room_holds_up_no_other() {
    let mut index = Index::default();
    let at = Timestamp::from_unix_seconds;
    for number in 0..9_u8 {
        let provider = ProviderName::new(if number < 6 { "hangs" } else { "works" });
        let last_used = at(i64::from(number) + 1);
        let lease = Some(Lease { refresh_at: at(5), end: at(10) });
        let entry = Entry { provider, last_used, lease, ..entry(number, None, 100) };
        index.insert(key(number), entry);
        index.touch(&key(number), at(20));
    }
    let due = |index: &Index, hangs: usize| {
        let room = Room { each: 2, left: HashMap::from([(ProviderName::new("hangs"), hangs)]) };
        let mut keys: Vec<_> = index.refreshes_due(at(30), &room).into_iter().map(|(key, _, _)| key).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(due(&index, 1), [key(0), key(6), key(7)]);
    assert_eq!(due(&index, 0), [key(6), key(7)]);
    index.refresh_begun(&key(6), at(30), false);
    assert_eq!(due(&index, 0), [key(7), key(8)]);
    index.remove(&key(7));
    index.refreshed(&key(8), None);
    assert!(due(&index, 0).is_empty());
    assert_eq!(due(&index, 9).len(), 6);
}
