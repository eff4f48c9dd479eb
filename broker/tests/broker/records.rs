//! External data: pushed on the broker's host, held whole by replicas.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use portcullis_broker_api::wire::generated as proto;
use portcullis_broker_api::{
    BrokerClient, Change, Deletion, Listing, MAX_RECORDS_BYTES, MAX_RECORDS_OF_A_TYPE, NewRecord, Pushed, RecordKey,
    RecordsError, RecordsFeed, RecordsFeedEvent, Replica, ReplicaBounds, ServerId,
};
use portcullis_identity::{Claims, Record};
use portcullis_keys::ServiceRole;
use tokio::net::UnixStream;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

use crate::house::{BOUNDS, House, SOON};

pub(crate) fn record(kind: &str, id: &str, data: &str) -> NewRecord {
    NewRecord::new(RecordKey::new(kind, id).unwrap(), data).unwrap()
}

pub(crate) async fn push(
    house: &House,
    records: Vec<NewRecord>,
    replaces: Option<&str>,
) -> Result<Pushed, RecordsError> {
    house.client(ServiceRole::Broker).push_records(records, replaces.map(Into::into)).await
}

pub(crate) async fn push_to(client: &BrokerClient, records: Vec<NewRecord>) {
    client.push_records(records, None).await.unwrap();
}

/// Every id of a type, by all pages of its listing.
pub(crate) async fn ids(client: &BrokerClient, kind: &str) -> BTreeSet<String> {
    let mut listing = Listing { kind: Some(kind.to_owned()), ..Listing::default() };
    let mut all = BTreeSet::new();
    loop {
        let page = client.list_records(listing.clone()).await.unwrap();
        all.extend(page.records.iter().map(|record| record.key().id.to_string()));
        if !page.more {
            return all;
        }
        listing.after = page.records.last().map(|record| record.key().clone());
    }
}

async fn held(house: &House, kind: &str) -> Vec<String> {
    ids(&house.client(ServiceRole::Broker), kind).await.into_iter().collect()
}

fn refused(outcome: Result<Pushed, RecordsError>) -> String {
    match outcome {
        Err(RecordsError::Refused { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pushed_records_are_read_as_they_are_and_the_same_ones_change_nothing() {
    let house = House::new();
    let two = || vec![record("hr", "u-1", r#"{"country":"DE"}"#), record("hr", "u-2", "{}")];
    let first = push(&house, two(), None).await.unwrap();
    assert_eq!((first.written, first.deleted), (2, 0));
    let again = push(&house, two(), None).await.unwrap();
    assert_eq!(again, Pushed { version: first.version, written: 0, deleted: 0 });
    let twice = vec![record("hr", "u-2", r#"{"a":1}"#), record("hr", "u-2", r#"{"a":2}"#)];
    assert_eq!(push(&house, twice, None).await.unwrap().written, 1);
    let listing = Listing { kind: Some("hr".into()), id: Some("u-2".into()), after: None };
    let page = house.client(ServiceRole::Broker).list_records(listing).await.unwrap();
    assert_eq!(page.records, [record("hr", "u-2", r#"{"a":2}"#)], "the later one counts");
    assert_eq!(house.metric("portcullis_broker_records", None), 2);
}

#[tokio::test]
async fn deletions_take_what_is_named_and_nothing_else() {
    let house = House::new();
    let all = [("hr", "1"), ("hr", "2"), ("hr", "3"), ("other", "1")];
    push(&house, all.map(|(kind, id)| record(kind, id, "{}")).into(), None).await.unwrap();
    let client = house.client(ServiceRole::Broker);
    let some = Deletion::Ids(vec!["2".into(), "2".into(), "never".into()]);
    assert_eq!(client.delete_records("hr", some).await.unwrap().deleted, 1);
    assert_eq!(held(&house, "hr").await, ["1", "3"]);
    assert_eq!(client.delete_records("hr", Deletion::All).await.unwrap().deleted, 2);
    assert_eq!(client.delete_records("hr", Deletion::All).await.unwrap().deleted, 0);
    assert!(held(&house, "hr").await.is_empty());
    assert_eq!(held(&house, "other").await, ["1"]);
}

#[tokio::test]
async fn a_replacement_is_of_one_type_and_of_all_of_it() {
    let house = House::new();
    push(&house, vec![record("hr", "1", "{}"), record("hr", "2", "{}"), record("other", "1", "{}")], None)
        .await
        .unwrap();
    let mixed = push(&house, vec![record("hr", "9", "{}"), record("other", "9", "{}")], Some("hr")).await;
    assert!(refused(mixed).contains("another type"));
    assert_eq!(held(&house, "hr").await, ["1", "2"], "nothing of it");
    let pushed = push(&house, vec![record("hr", "2", "{}"), record("hr", "3", "{}")], Some("hr")).await.unwrap();
    assert_eq!((pushed.written, pushed.deleted), (1, 1), "what stays as it is is not written");
    assert_eq!(held(&house, "hr").await, ["2", "3"]);
    assert_eq!(held(&house, "other").await, ["1"]);
}

#[tokio::test]
async fn each_bound_on_all_records_is_named_and_what_is_within_it_is_taken() {
    let house = House::new();
    let many = |count: usize| (0..count).map(|id| record("hr", &id.to_string(), "{}")).collect::<Vec<_>>();
    let too_many = push(&house, many(MAX_RECORDS_OF_A_TYPE + 1), None).await;
    assert_eq!(refused(too_many), "more than 100000 records of one type");
    assert!(held(&house, "hr").await.is_empty(), "all or nothing");
    assert_eq!(push(&house, many(MAX_RECORDS_OF_A_TYPE), None).await.unwrap().written, 100_000);
    let one_more = push(&house, vec![record("hr", "one more", "{}")], None).await;
    assert_eq!(refused(one_more), "more than 100000 records of one type");
    house.client(ServiceRole::Broker).delete_records("hr", Deletion::All).await.unwrap();

    let large = format!(r#"{{"v":"{}"}}"#, "x".repeat(16_000));
    let fit = MAX_RECORDS_BYTES / record("large", "0000", &large).bytes();
    let filled: Vec<NewRecord> = (0..=fit).map(|id| record("large", &format!("{id:04}"), &large)).collect();
    assert!(refused(push(&house, filled.clone(), None).await).contains("more than 67108864 bytes"));
    push(&house, filled[..fit].to_vec(), None).await.unwrap();
    assert!(refused(push(&house, filled[fit..].to_vec(), None).await).contains("more than 67108864 bytes"));
}

/// Dials the broker's socket for a client that keeps to no rule.
#[derive(Clone)]
struct Dial(std::path::PathBuf);

impl tonic::codegen::Service<http::Uri> for Dial {
    type Response = TokioIo<UnixStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(UnixStream::connect(path).await?)) })
    }
}

#[tokio::test]
async fn a_push_without_its_end_or_with_another_count_changes_nothing() {
    use proto::push_records_request::Step;
    let house = House::new();
    let channel = tonic::transport::Endpoint::from_static("http://broker.test");
    let channel = channel.connect_with_connector_lazy(Dial(house.socket()));
    let mut stub = proto::broker_client::BrokerClient::new(channel);
    let batch = || {
        let record = proto::Record { r#type: "hr".into(), id: "1".into(), data: "{}".into() };
        Step::Batch(proto::RecordBatch { record: vec![record] })
    };
    let end = |count| Step::End(proto::PushEnd { count, replaces: None });
    for (steps, accepted) in [
        (vec![batch()], false),
        (vec![batch(), end(2)], false),
        (vec![end(1), batch()], false),
        (vec![batch(), end(1)], true),
    ] {
        let said = format!("{steps:?}");
        let steps = steps.into_iter().map(|step| proto::PushRecordsRequest { step: Some(step) });
        let mut request = tonic::Request::new(futures_util::stream::iter(steps));
        request.metadata_mut().insert("portcullis-service", "broker".parse().unwrap());
        let answer = stub.push_records(request).await;
        assert_eq!(answer.is_ok(), accepted, "{said}: {answer:?}");
        assert_eq!(held(&house, "hr").await.len(), usize::from(accepted), "{said}");
    }
}

#[tokio::test]
async fn records_outlive_the_broker_and_a_rotated_key() {
    let mut house = House::new();
    push(&house, vec![record("hr", "1", r#"{"a":1}"#)], None).await.unwrap();
    push(&house, vec![record("hr", "2", "{}")], Some("hr")).await.unwrap();
    house.stop().await;
    house.start();
    assert_eq!(held(&house, "hr").await, ["2"]);
    // A new key seals; at the next start nothing is left that only the old one opens.
    let (text, id) = portcullis_keys::append(&house.ring_text, &portcullis_keys::SystemRandom).unwrap();
    let promoted = portcullis_keys::promote(&text, id).unwrap();
    let old = house.ring.key_ids()[0];
    house.stop().await;
    house.ring = portcullis_keys::KeyRing::parse(&promoted).unwrap();
    house.start();
    house.stop().await;
    house.ring = portcullis_keys::KeyRing::parse(&portcullis_keys::remove(&promoted, old).unwrap()).unwrap();
    house.start();
    assert_eq!(held(&house, "hr").await, ["2"]);
}

async fn next(feed: &mut RecordsFeed) -> RecordsFeedEvent {
    tokio::time::timeout(SOON, feed.next()).await.unwrap().unwrap().unwrap()
}

async fn start(house: &House, cursor: Option<(ServerId, u64)>) -> (RecordsFeed, bool) {
    let mut feed = house.proxy().watch_records(cursor).await.unwrap();
    let RecordsFeedEvent::Start { server, version: _, reset } = next(&mut feed).await else { panic!("not a start") };
    assert_eq!(server, house.broker().status().server);
    (feed, reset)
}

#[tokio::test]
async fn a_follower_resumes_where_it_stood_also_at_a_restarted_broker_unless_it_missed_something_there() {
    let mut house = House::new();
    let first = push(&house, vec![record("hr", "1", "{}")], None).await.unwrap();
    let server = house.broker().status().server;
    let (_, reset) = start(&house, Some((server, first.version))).await;
    assert!(!reset);
    house.stop().await;
    house.start();
    let (_, reset) = start(&house, Some((server, first.version))).await;
    assert!(!reset, "nothing has changed since");
    push(&house, vec![record("hr", "2", "{}")], None).await.unwrap();
    let (mut feed, reset) = start(&house, Some((server, first.version))).await;
    assert!(!reset);
    let RecordsFeedEvent::Page { changed, gone, whole, more, .. } = next(&mut feed).await else { panic!("not a page") };
    let second = Record { kind: "hr".into(), id: "2".into(), data: Claims::from_json("{}").unwrap() };
    assert_eq!((changed, gone, whole, more), (vec![second], vec![], false, false));
    house.stop().await;
    house.start();
    let stranger = ServerId::from_bytes(&[3; 16]).unwrap();
    for cursor in [None, Some((server, first.version)), Some((server, 99)), Some((stranger, first.version + 1))] {
        let (mut feed, reset) = start(&house, cursor).await;
        assert!(reset, "{cursor:?}");
        let RecordsFeedEvent::Page { changed, whole, .. } = next(&mut feed).await else { panic!("not a page") };
        assert_eq!((changed.len(), whole), (2, true));
    }
}

async fn changed(changes: &mut Receiver<Change>) {
    loop {
        if tokio::time::timeout(SOON, changes.recv()).await.unwrap().unwrap() == Change::Records {
            return;
        }
    }
}

fn known(replica: &Replica, kind: &str) -> Option<Vec<String>> {
    Some(replica.records()?.of_type(kind).iter().map(|record| record.id.to_string()).collect())
}

/// A replica that knows the records by now.
async fn replica(house: &House) -> (Arc<Replica>, Receiver<Change>, tokio_util::sync::DropGuard) {
    let replica = Replica::new(house.proxy(), BOUNDS);
    let mut changes = replica.changes();
    assert!(replica.records().is_none(), "nothing has been said yet, not even that there is nothing");
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&replica).run(stop.clone()));
    changed(&mut changes).await;
    (replica, changes, stop.drop_guard())
}

#[tokio::test]
async fn a_replica_knows_that_there_is_nothing_and_then_what_there_is() {
    let house = House::new();
    let (replica, mut changes, _run) = replica(&house).await;
    assert_eq!(known(&replica, "hr"), Some(vec![]));
    let epoch = replica.epoch();
    push(&house, vec![record("hr", "1", r#"{"country":"DE"}"#), record("other", "1", "{}")], None).await.unwrap();
    changed(&mut changes).await;
    assert!(replica.epoch() > epoch);
    let records = replica.records().unwrap();
    assert_eq!(records.with_id("hr", "1")[0].data.text("country"), Some("DE"));
    house.client(ServiceRole::Broker).delete_records("hr", Deletion::All).await.unwrap();
    changed(&mut changes).await;
    assert_eq!((known(&replica, "hr"), known(&replica, "other")), (Some(vec![]), Some(vec!["1".to_owned()])));
    let status = replica.records_status();
    assert!(status.following && status.known && status.records == 1);
}

#[tokio::test]
async fn a_replacement_of_many_pages_is_never_seen_half_done() {
    let house = House::new();
    // More than a page each way.
    let generation = |number: u32| {
        let data = format!(r#"{{"generation":{number},"filler":"{}"}}"#, "x".repeat(1000));
        (0..2000).map(|id| record("hr", &format!("{number}-{id}"), &data)).collect::<Vec<_>>()
    };
    push(&house, generation(0), Some("hr")).await.unwrap();
    let (replica, mut changes, _run) = replica(&house).await;
    for number in 1..4 {
        push(&house, generation(number), Some("hr")).await.unwrap();
        changed(&mut changes).await;
        let records = replica.records().unwrap();
        let of_type = records.of_type("hr");
        assert_eq!(of_type.len(), 2000);
        assert!(of_type.iter().all(|record| record.id.starts_with(&format!("{number}-"))));
    }
}

#[tokio::test]
async fn a_replica_keeps_what_it_holds_while_the_broker_is_away_and_starts_over_at_another_store() {
    let mut house = House::new();
    push(&house, vec![record("hr", "1", "{}")], None).await.unwrap();
    let (replica, mut changes, _run) = replica(&house).await;
    house.stop().await;
    assert_eq!(known(&replica, "hr"), Some(vec!["1".to_owned()]));
    std::fs::remove_file(house.store()).unwrap();
    house.start();
    // First it lets go of what another store said, then it knows what this one says.
    while known(&replica, "hr") != Some(vec![]) {
        changed(&mut changes).await;
    }
    push(&house, vec![record("hr", "2", "{}")], None).await.unwrap();
    while known(&replica, "hr") != Some(vec!["2".to_owned()]) {
        changed(&mut changes).await;
    }
}

#[tokio::test]
async fn a_replica_that_hears_nothing_of_the_records_knows_nothing() {
    let house = House::new();
    push(&house, vec![record("hr", "1", "{}")], None).await.unwrap();
    let bounds = ReplicaBounds { max_staleness: std::time::Duration::ZERO, ..BOUNDS };
    let replica = Replica::new(house.proxy(), bounds);
    let mut changes = replica.changes();
    let stop = CancellationToken::new();
    let run = tokio::spawn(Arc::clone(&replica).run(stop.clone()));
    changed(&mut changes).await;
    while replica.records_status().records == 0 {
        changed(&mut changes).await;
    }
    assert!(replica.records().is_none() && !replica.records_status().known);
    stop.cancel();
    run.await.unwrap();
}
