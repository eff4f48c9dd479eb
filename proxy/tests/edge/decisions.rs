//! What decision records keep, and that it explains the decision long after it was made.

use std::sync::Arc;

use portcullis_proxy::DecisionRecord;

use crate::client::status;
use crate::world::World;

/// The decision records, once there are this many: one is kept when the request's state goes, which may be just
/// after its last byte.
pub(crate) async fn kept(world: &World, count: usize) -> Vec<Arc<DecisionRecord>> {
    let kept = async {
        loop {
            let records = world.proxy.decisions(usize::MAX);
            if records.len() >= count {
                break records;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), kept).await.unwrap()
}

/// Every criterion of a record's explanation: name, value and fact.
fn facts(record: &DecisionRecord) -> Vec<String> {
    let explained = record.explained(None).unwrap();
    assert!(explained.exact, "{record:?}");
    let operators = explained.explanation.rules.into_iter().flat_map(|rule| rule.operators);
    let criteria = operators.flat_map(|operator| operator.criteria);
    criteria.map(|criterion| format!("{} {:?} {}", criterion.name, criterion.value, criterion.fact)).collect()
}

const ROUTES: &str = "
  - name: wiki
    from: https://wiki.test
    to: http://UP
    policy:
      - allow: {and: [{email: alice@corp.test}, {http_method: GET}, {source_ip: 127.0.0.0/8}]}
        deny: {or: [{http_path: '/a b'}, {time_of_day: {timezone: UTC, after: '23:00'}}]}";

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_a_decision_record_without_its_query() {
    let world = World::start().await;
    world.get("open.test", "/a?secret=1", "").await;
    world.get("wiki.test", "/b?secret=2", "Accept: text/html\r\n").await;
    world
        .raw(
            "open.test",
            "GET / HTTP/1.1\r\nHost: open.test\r\nContent-Length: 1\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
        )
        .await;
    let records = kept(&world, 3).await;
    let words: Vec<&str> = records.iter().map(|record| record.outcome).collect();
    assert_eq!(words, ["permit", "challenge", "malformed"]);
    assert!(records.iter().all(|record| !format!("{record:?}").contains("secret")), "{records:?}");
    assert_eq!(records[0].route.as_ref().map(|route| &*route.name), Some("open"));
    assert_eq!(records[0].request_id, world.upstream.last().header("x-request-id").unwrap());
    assert_eq!(world.proxy.decision(&records[1].request_id).unwrap().outcome, "challenge");
    assert!(world.proxy.decision("nobody's").is_none());
    let heard: Vec<String> = world.heard.all().iter().map(|record| record.request_id.clone()).collect();
    assert_eq!(heard, records.iter().map(|record| record.request_id.clone()).collect::<Vec<_>>(), "the sink too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_explains_its_decision_by_what_was_read_then() {
    let world = World::with(ROUTES, "").await;
    let (_, cookie) = world.sign_in("wiki.test");
    let cookie = format!("Cookie: {cookie}\r\n");
    assert_eq!(status(&world.get("wiki.test", "/x", &cookie).await), 200);
    assert_eq!(status(&world.get("wiki.test", "/a%20b;v=1", &cookie).await), 403);
    assert_eq!(status(&world.get("wiki.test", "/x", "").await), 401);
    // Another generation, another time: neither changes what was decided.
    world.publish("\n  - {name: wiki, from: https://wiki.test, to: http://UP, policy: []}", "");
    world.clock.advance(std::time::Duration::from_secs(3600));
    let records = kept(&world, 3).await;
    assert_eq!(
        facts(&records[0]),
        [
            "email Some(true) alice@corp.test",
            "http_method Some(true) GET",
            "source_ip Some(true) 127.0.0.1",
            "http_path Some(false) /x",
            "time_of_day Some(false) 2023-11-14T22:13:20Z",
        ]
    );
    assert!(facts(&records[1]).contains(&"http_path Some(true) /a b".to_owned()), "the reading that was denied");
    assert!(facts(&records[2]).contains(&"email None nobody is signed in".to_owned()));
    assert_eq!(records[0].route.as_ref().map(|route| route.line), Some(6), "the route as it was then");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ring_follows_a_reload() {
    let world = World::with(ROUTES, "decisions: {ring: 4}").await;
    for _ in 0..4 {
        world.get("wiki.test", "/", "").await;
    }
    assert_eq!(kept(&world, 4).await.len(), 4);
    world.publish(ROUTES, "decisions: {ring: 2}");
    assert_eq!(world.proxy.decisions(usize::MAX).len(), 2);
    world.publish(ROUTES, "decisions: {ring: 3}");
    for _ in 0..2 {
        world.get("wiki.test", "/", "").await;
    }
    assert_eq!(kept(&world, 3).await.len(), 3);
}
