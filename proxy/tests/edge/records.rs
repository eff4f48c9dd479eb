//! External data decides requests and what is under way.

use portcullis_identity::{Claims, Record, Records};

use crate::client::status;
use crate::revocation::{closes_soon, stays_open};
use crate::streams::{events, websocket};
use crate::world::{ROUTES, World};

const SHIFT: &str = "policy: [{allow: {and: [{domain: corp.test}, {record: {type: shift, id: alice, field: state, is: on}}]}}, {deny: {or: [{record: {type: lockdown}}]}}]";

fn records(all: &[(&str, &str, &str)]) -> Option<Records> {
    let record = |(kind, id, json): &(&str, &str, &str)| Record {
        kind: (*kind).into(),
        id: (*id).into(),
        data: Claims::from_json(json).unwrap(),
    };
    Some(all.iter().map(record).collect())
}

async fn world() -> World {
    let with_policy = |name: &str, key: &str| {
        ROUTES.replace(
            &format!("name: {name}, from: https://{name}.test, to: http://UP, {key}: true"),
            &format!("name: {name}, from: https://{name}.test, to: http://UP, {SHIFT}"),
        )
    };
    World::with(&with_policy("wiki", "allow_any_authenticated_user"), "").await
}

async fn asked(world: &World, cookie: &str) -> u16 {
    let request = format!("GET / HTTP/1.1\r\nHost: wiki.test\r\n{cookie}Connection: close\r\n\r\n");
    status(&world.raw("wiki.test", &request).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn external_data_permits_and_denies_without_a_new_sign_in_and_ends_what_is_open() {
    let world = world().await;
    let (_, cookie) = world.sign_in("wiki.test");
    let cookie = format!("Cookie: {cookie}\r\n");
    assert_eq!(asked(&world, &cookie).await, 503, "nobody knows the records yet");
    world.sessions.hold_records(records(&[("shift", "alice", r#"{"state":"on"}"#)]));
    assert_eq!(asked(&world, &cookie).await, 200);
    let mut socket = websocket(&world, "wiki.test", &cookie).await;
    let mut public = events(&world, "open.test", "").await;
    world.sessions.hold_records(records(&[("shift", "alice", r#"{"state":"on"}"#), ("shift", "bob", "{}")]));
    stays_open(&mut socket, "still on shift").await;
    world.sessions.hold_records(records(&[("shift", "bob", "{}")]));
    closes_soon(&mut socket).await;
    stays_open(&mut public, "a route that looks at no record").await;
    assert_eq!(asked(&world, &cookie).await, 403);
    assert!(world.metric(r#"portcullis_proxy_session_changes_total{change="records"}"#) >= 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_knows_any_more_end_what_hangs_on_them_and_denials_by_them_are_explained() {
    let world = world().await;
    let (_, cookie) = world.sign_in("wiki.test");
    let cookie = format!("Cookie: {cookie}\r\n");
    let on = ("shift", "alice", r#"{"state":"on"}"#);
    world.sessions.hold_records(records(&[on]));
    let mut socket = websocket(&world, "wiki.test", &cookie).await;
    world.sessions.hold_records(None);
    closes_soon(&mut socket).await;
    assert_eq!(asked(&world, &cookie).await, 503);
    world.sessions.hold_records(records(&[on, ("lockdown", "1", "{}")]));
    assert_eq!(asked(&world, &cookie).await, 403);

    let denied = || {
        world.proxy.decisions(usize::MAX).into_iter().filter(|record| record.outcome == "refuse").collect::<Vec<_>>()
    };
    while denied().len() < 2 {
        tokio::task::yield_now().await;
    }
    let facts = |place: usize, newest: Option<&Records>| {
        let explained = denied()[place].explained(newest).unwrap();
        let operators = explained.explanation.rules.into_iter().flat_map(|rule| rule.operators);
        let facts = operators.flat_map(|operator| operator.criteria).map(|criterion| criterion.fact);
        (explained.exact, facts.filter(|fact| fact.contains("of type")).collect::<Vec<_>>())
    };
    let unknown = ["records of type shift are not known", "records of type lockdown are not known"];
    assert_eq!(facts(0, Some(Records::none())), (true, unknown.map(str::to_owned).into()), "as it was then");
    let known =
        |locks: &str| vec!["record alice of type shift".to_owned(), format!("{locks} records of type lockdown")];
    assert_eq!(facts(1, None), (true, known("1")));
    world.sessions.hold_records(records(&[on]));
    let newest = records(&[on]).unwrap();
    assert_eq!(facts(1, Some(&newest)), (false, known("0")), "by the newest, which would decide otherwise");
}
