//! The table by itself: what may replace what, what is dropped, and what costs nothing.

use std::sync::Arc;
use std::time::Duration;

use portcullis_identity::{Claims, Principal, ProviderName, Session, SessionKey, Subject, Timestamp};
use portcullis_keys::ServiceRole;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_oneof, proptest};
use tokio::time::Instant;

use super::table::{Landing, Table};
use super::uses::Uses;
use super::{Replica, ReplicaBounds, Resolved, size};
use crate::{BrokerClient, Endpoint, ServerId};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const SERVER: fn() -> ServerId = || ServerId::from_bytes(&[1; 16]).unwrap();
const OTHER: fn() -> ServerId = || ServerId::from_bytes(&[2; 16]).unwrap();

fn key(number: u64) -> SessionKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    SessionKey::from_bytes(bytes)
}

fn session(number: u64, version: u64) -> Session {
    Session {
        key: key(number),
        version,
        principal: Principal { issuer: "https://idp.corp.test".into(), subject: "alice".into() },
        provider: ProviderName::new("corp"),
        provider_session: None,
        subject: Subject { claims: Claims::from_json(r#"{"groups":["a","b"]}"#).unwrap(), ..Subject::default() },
        authenticated_at: NOW,
        acr: None,
        last_used: NOW,
        expires_at: NOW.saturating_add(Duration::from_secs(3600)),
        idle: None,
    }
}

fn table() -> Table {
    let table = Table::new(usize::MAX);
    table.reset(SERVER(), 10, 0);
    table
}

fn land(table: &Table, head: u64, number: u64, version: u64) -> Landing {
    table.land(Some(SERVER()), head, &key(number), Some(Arc::new(session(number, version))))
}

fn version(table: &Table, number: u64) -> Option<u64> {
    match table.look(&key(number), NOW) {
        Resolved::Session(session) => Some(session.version),
        Resolved::Absent | Resolved::Missing | Resolved::Stale => None,
    }
}

#[test]
fn an_answer_older_than_an_end_brings_nothing_back() {
    let table = table();
    assert!(matches!(land(&table, 11, 1, 11), Landing::Held(_)));
    table.end(&key(1), 12);
    assert!(matches!(land(&table, 11, 1, 11), Landing::Gone { was_held: false }));
    assert!(matches!(table.look(&key(1), NOW), Resolved::Absent));
    // Its twin, which did not end.
    assert!(matches!(land(&table, 11, 2, 11), Landing::Held(_)));
    assert_eq!(version(&table, 2), Some(11));
}

#[test]
fn an_answer_older_than_a_change_is_asked_for_again() {
    let table = table();
    table.change(session(1, 12), 12);
    assert!(matches!(table.look(&key(1), NOW), Resolved::Missing), "not held, so not taken in");
    assert!(matches!(land(&table, 11, 1, 9), Landing::TooOld));
    assert!(matches!(land(&table, 12, 1, 12), Landing::Held(_)));
    table.change(session(1, 13), 13);
    assert_eq!(version(&table, 1), Some(13), "held, so replaced");
    assert!(matches!(land(&table, 14, 1, 12), Landing::Held(newest) if newest.version == 13));
    table.change(session(1, 12), 12);
    assert_eq!(version(&table, 1), Some(13));
}

#[test]
fn what_is_let_go_of_is_asked_for_and_answers_from_before_do_not_count() {
    let table = table();
    land(&table, 11, 1, 11);
    land(&table, 11, 2, 11);
    table.end(&key(3), 11);
    table.let_go(&key(1), 12);
    table.let_go(&key(3), 13);
    assert!(matches!(table.look(&key(1), NOW), Resolved::Missing), "lives, but is not held");
    assert_eq!(version(&table, 2), Some(11), "its twin is");
    assert!(matches!(table.look(&key(3), NOW), Resolved::Absent), "what is over stays so");
    assert!(matches!(land(&table, 11, 1, 11), Landing::TooOld));
    assert!(matches!(land(&table, 13, 1, 11), Landing::Held(_)));
    // A version from after the word is not meant by it.
    table.change(session(2, 20), 20);
    table.let_go(&key(2), 19);
    assert_eq!(version(&table, 2), Some(20));
    assert_eq!((table.totals().2, table.cursor()), (2, Some((SERVER(), 20))));
}

#[test]
fn an_answer_from_before_a_reset_or_of_another_store_is_asked_for_again() {
    let table = table();
    assert!(matches!(land(&table, 9, 1, 9), Landing::TooOld));
    assert!(matches!(table.land(Some(OTHER()), 99, &key(1), None), Landing::TooOld));
    assert!(matches!(land(&table, 10, 1, 9), Landing::Held(_)));
    table.reset(OTHER(), 3, 0);
    assert!(matches!(table.look(&key(1), NOW), Resolved::Missing));
    assert!(matches!(land(&table, 99, 1, 99), Landing::TooOld));
    assert_eq!(table.cursor(), Some((OTHER(), 3)));
}

#[test]
fn a_reset_names_what_was_used_last_first() {
    let table = table();
    for number in 1..=3 {
        land(&table, 10, number, 1);
        table.look(&key(number), NOW.saturating_add(Duration::from_secs(10 - number)));
    }
    assert_eq!(table.reset(SERVER(), 20, 2), [key(1), key(2)]);
}

#[tokio::test]
async fn a_look_up_allocates_nothing_whatever_it_finds() {
    let bounds = ReplicaBounds { max_bytes: usize::MAX, max_staleness: Duration::from_secs(300) };
    let client = BrokerClient::connect_lazy(Endpoint::Unix("/nowhere".into()), ServiceRole::Proxy);
    let replica = Replica::new(client, bounds);
    replica.put(session(1, 1));
    replica.table.end(&key(2), 1);
    // The first look-up of a thread may make the thread's own state.
    drop(replica.resolve(&key(1), NOW));
    let counted = allocation_counter::measure(|| {
        assert!(matches!(replica.resolve(&key(1), NOW), Resolved::Session(_)));
        assert!(matches!(replica.resolve(&key(2), NOW), Resolved::Absent));
        assert!(matches!(replica.resolve(&key(3), NOW), Resolved::Missing));
        replica.used(&key(1), NOW);
        assert_eq!(replica.epoch(), 0);
    });
    assert_eq!(counted.count_total, 0);
}

#[tokio::test]
async fn a_stream_that_resumes_is_no_news_and_one_that_starts_over_is() {
    let bounds = ReplicaBounds { max_bytes: usize::MAX, max_staleness: Duration::from_secs(300) };
    let client = BrokerClient::connect_lazy(Endpoint::Unix("/nowhere".into()), ServiceRole::Proxy);
    let replica = Replica::new(client, bounds);
    let start = Instant::now();
    drop(replica.begin((SERVER(), 10), true, start));
    replica.put(session(1, 10));
    // As where the next entry cannot be read: the stream begins, and breaks off, again and again.
    for second in 1..=300 {
        assert!(!replica.freshness.is_stale(start + Duration::from_millis(299_999)));
        assert!(replica.begin((SERVER(), 10), false, start + Duration::from_secs(second)).is_none());
    }
    let later = start + Duration::from_secs(300);
    assert!(replica.freshness.is_stale(later));
    assert!(matches!(replica.resolve(&key(1), NOW), Resolved::Session(_)), "held all the while");
    drop(replica.begin((SERVER(), 20), true, later));
    assert!(!replica.freshness.is_stale(later));
    assert!(matches!(replica.resolve(&key(1), NOW), Resolved::Missing));
}

#[test]
fn an_absence_is_final_until_reset() {
    let table = table();
    assert!(matches!(table.land(Some(SERVER()), 10, &key(1), None), Landing::Gone { was_held: false }));
    assert!(matches!(table.look(&key(1), NOW), Resolved::Absent));
    assert!(matches!(land(&table, 11, 2, 11), Landing::Held(_)));
    assert!(matches!(table.land(Some(SERVER()), 10, &key(2), None), Landing::TooOld), "read before it was made");
    assert!(matches!(table.land(Some(SERVER()), 11, &key(2), None), Landing::Gone { was_held: true }));
    table.reset(SERVER(), 12, 0);
    assert!(matches!(table.look(&key(1), NOW), Resolved::Missing));
}

#[test]
fn forgotten_ends_still_refuse_answers_from_before_them() {
    let table = table();
    table.end(&key(0), 11);
    // As many ends as are remembered push the first one out.
    for number in 1..=131_072 {
        table.end(&key(number), 11 + number);
    }
    assert!(matches!(table.look(&key(0), NOW), Resolved::Missing));
    assert!(matches!(land(&table, 10, 0, 10), Landing::TooOld));
    assert!(matches!(land(&table, 10, 999_999, 10), Landing::TooOld), "whose story nobody knows");
    assert!(matches!(land(&table, 12, 999_999, 10), Landing::Held(_)));
}

#[test]
fn the_least_used_go_and_the_bound_holds() {
    let one = size::of(&session(1, 1));
    let table = Table::new(one * 100);
    let later = NOW.saturating_add(Duration::from_secs(60));
    for number in 0..1000 {
        land(&table, 1, number, 1);
        // The first ten are looked at again and again.
        for hot in 0..10.min(number) {
            table.look(&key(hot), later.saturating_add(Duration::from_secs(number)));
        }
        assert!(table.totals().3 <= one * 100);
    }
    let (_, _, held, bytes) = table.totals();
    assert_eq!((held, bytes), (100, one * 100));
    let hot = (0..10).filter(|number| version(&table, *number).is_some()).count();
    assert!(hot >= 9, "{hot} of the ten in use survived sampling");
    assert!(version(&table, 999).is_some(), "the newest is never its own victim");
}

#[test]
fn twenty_claims_fit_the_promised_size() {
    let claims: Vec<String> = (0..20).map(|number| format!(r#""claim_{number}":"value {number}""#)).collect();
    let mut session = session(1, 1);
    session.subject.claims = Claims::from_json(&format!("{{{}}}", claims.join(","))).unwrap();
    let bytes = size::of(&session);
    // 1.2 KiB, and not so little that the bound on all of them would be one in name only.
    assert!((768..=1229).contains(&bytes), "{bytes}");
}

#[test]
fn uses_are_reported_once_a_minute_or_a_tenth_of_the_idle_time() {
    let table = table();
    let uses = Uses::new();
    let mut idle = session(2, 1);
    idle.idle = Some(Duration::from_secs(100));
    land(&table, 10, 1, 1);
    table.land(Some(SERVER()), 10, &key(2), Some(Arc::new(idle)));
    let mut reports = Vec::new();
    for second in 0..=60 {
        let now = NOW.saturating_add(Duration::from_secs(second));
        for number in 1..=3 {
            uses.note(&table, &key(number), now);
        }
        reports.append(&mut table.refresh(&uses.take(100)));
        let Resolved::Session(session) = table.look(&key(1), now) else { panic!("it is held") };
        assert!(now.since(session.last_used) < Duration::from_secs(5), "what others read is never far behind");
    }
    assert_eq!(reports.iter().filter(|(reported, _)| *reported == key(1)).count(), 1);
    assert_eq!(reports.iter().filter(|(reported, _)| *reported == key(2)).count(), 6);
    assert_eq!(reports.len(), 7, "what is not held is nobody's use");
}

#[test]
fn a_full_queue_of_uses_loses_no_use_for_good() {
    let table = table();
    land(&table, 10, 1, 1);
    let later = NOW.saturating_add(Duration::from_secs(120));
    table.note_use(&key(1), later, || false);
    let mut asked = false;
    table.note_use(&key(1), later, || {
        asked = true;
        true
    });
    assert!(asked, "the next use tries again");
}

/// One step of a history, of few keys so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Land { number: u64, age: u64 },
    Absent { number: u64, age: u64 },
    End { number: u64 },
    Change { number: u64 },
    Reset,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = 0..4_u64;
    let step = prop_oneof![
        4 => (number.clone(), 0..4_u64).prop_map(|(number, age)| Step::Land { number, age }),
        1 => (number.clone(), 0..4_u64).prop_map(|(number, age)| Step::Absent { number, age }),
        2 => number.clone().prop_map(|number| Step::End { number }),
        2 => number.prop_map(|number| Step::Change { number }),
        1 => Just(Step::Reset),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    /// Against the truth as the broker has it: whatever order answers and events arrive in, an ended session
    /// is never held, and what is held is never older than what the stream told.
    #[test]
    fn no_history_resurrects(steps in steps(), _seed in any::<u8>()) {
        let table = table();
        let mut head = 10_u64;
        let mut ended_at = [None::<u64>; 4];
        let mut versions = [10_u64; 4];
        for step in steps {
            match step {
                Step::Land { number, age } => {
                    let at = usize::try_from(number).unwrap();
                    let read = head.saturating_sub(age);
                    // What the broker would have answered at that version.
                    if ended_at[at].is_none_or(|end| read < end) {
                        land(&table, read, number, versions[at].min(read));
                    }
                }
                Step::Absent { number, age } => {
                    let at = usize::try_from(number).unwrap();
                    if ended_at[at].is_some_and(|end| head.saturating_sub(age) >= end) {
                        table.land(Some(SERVER()), head.saturating_sub(age), &key(number), None);
                    }
                }
                Step::End { number } => {
                    head += 1;
                    ended_at[usize::try_from(number).unwrap()].get_or_insert(head);
                    table.end(&key(number), head);
                }
                Step::Change { number } => {
                    let at = usize::try_from(number).unwrap();
                    if ended_at[at].is_none() {
                        head += 1;
                        versions[at] = head;
                        table.change(session(number, head), head);
                    }
                }
                Step::Reset => {
                    table.reset(SERVER(), head, 0);
                }
            }
            for number in 0..4 {
                let at = usize::try_from(number).unwrap();
                if let Some(held) = version(&table, number) {
                    prop_assert!(ended_at[at].is_none(), "session {number} ended at {:?} and is held", ended_at[at]);
                    prop_assert!(held == versions[at], "session {number} is held at {held}, told {}", versions[at]);
                }
            }
        }
    }
}
