//! The programs that a person let in, on a route's host: seen and ended by that person, from our own page.

use std::collections::HashMap;

use portcullis_identity::{DerivedSession, SessionKey};
use serde_json::{Value, json};

use crate::client::{status, values};
use crate::world::{NOW, World};

const PATH: &str = "/.portcullis/user";

/// Alice, and a program that she let in: the keys and cookies of both, for the wiki.
async fn family(world: &World) -> [(SessionKey, String); 2] {
    let [alice, program] = [world.sign_in("wiki.test"), world.sign_in("wiki.test")];
    let derived = DerivedSession { key: program.0, host: Some("wiki.test".into()), made_at: NOW, last_used: NOW };
    *world.sessions.derived.lock().unwrap() = Some(HashMap::from([(alice.0, vec![derived])]));
    [alice, program]
}

async fn listed(world: &World, cookie: &str) -> Value {
    let answer = world.get("wiki.test", PATH, &format!("Accept: application/json\r\nCookie: {cookie}\r\n")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str::<Value>(body).unwrap()["programs"].clone()
}

async fn post(world: &World, path: &str, lines: &str) -> String {
    let asked = format!(
        "POST {path} HTTP/1.1\r\nHost: wiki.test\r\nAccept: text/html\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    world.raw("wiki.test", &asked).await
}

fn lives(world: &World, key: &SessionKey) -> bool {
    world.sessions.held.lock().unwrap().contains_key(key)
}

const OWN: &str = "Origin: https://wiki.test\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_ended_by_a_post_of_our_own_page() {
    let world = World::start().await;
    let [(alice, cookie), (program, _)] = family(&world).await;
    let expected = json!([{ "session": program.to_string(), "host": "wiki.test",
        "made_at": "2023-11-14T22:13:20Z", "last_used": "2023-11-14T22:13:20Z" }]);
    assert_eq!(listed(&world, &cookie).await, expected);
    let end = format!("{PATH}?end={program}");
    let from = |lines: &str| format!("{lines}Cookie: {cookie}\r\n");
    for foreign in ["Origin: https://evil.test\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n", ""] {
        let answer = post(&world, &end, &from(foreign)).await;
        assert!(status(&answer) == 200 && answer.contains(&format!("action=\"{end}\"")), "{answer}");
        assert!(lives(&world, &program));
    }
    // Neither a GET, nor a POST that does not say what is to end, or says it twice.
    assert_eq!(status(&world.get("wiki.test", &end, &from("Accept: text/html\r\n")).await), 200);
    assert_eq!(status(&post(&world, PATH, &from(OWN)).await), 405);
    assert_eq!(status(&post(&world, &format!("{end}&end={program}"), &from(OWN)).await), 405);
    assert!(lives(&world, &program));
    let done = post(&world, &end, &from(OWN)).await;
    assert_eq!((status(&done), values(&done, "location")), (303, vec![PATH]), "{done}");
    assert!(lives(&world, &alice) && !lives(&world, &program));
    assert!(values(&done, "set-cookie").is_empty(), "the person stays signed in");
    assert_eq!(listed(&world, &cookie).await, json!([]));
    assert_eq!(status(&post(&world, &end, &from(OWN)).await), 303, "twice does no harm");
    assert_eq!(world.metric("portcullis_proxy_sign_in_steps_total{step=\"program_ended\"}"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_ends_what_is_not_theirs() {
    let world = World::start().await;
    let [(_, cookie), (program, programs_cookie)] = family(&world).await;
    let (bob, bobs_cookie) = world.sign_in("wiki.test");
    let end = |key: &SessionKey| format!("{PATH}?end={key}");
    // A program sees no siblings and ends none, nor itself; another person sees nothing of either.
    for other in [&programs_cookie, &bobs_cookie] {
        assert_eq!(listed(&world, other).await, json!([]));
        assert_eq!(status(&post(&world, &end(&program), &format!("{OWN}Cookie: {other}\r\n")).await), 303);
        assert!(lives(&world, &program));
    }
    // What is no program of hers is not hers to end here, and without a session there is nobody to believe.
    assert_eq!(status(&post(&world, &end(&bob), &format!("{OWN}Cookie: {cookie}\r\n")).await), 303);
    assert_eq!(status(&post(&world, &end(&program), OWN).await), 401);
    assert!(lives(&world, &bob) && lives(&world, &program));
    assert_eq!(status(&post(&world, &end(&program), &format!("{OWN}Cookie: {cookie}\r\n")).await), 303);
    assert!(!lives(&world, &program));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_leaves_the_rest_of_the_page() {
    let world = World::start().await;
    let [(_, cookie), (program, _)] = family(&world).await;
    let known = world.sessions.derived.lock().unwrap().take();
    let page = world.get("wiki.test", PATH, &format!("Accept: text/html\r\nCookie: {cookie}\r\n")).await;
    assert!(status(&page) == 200 && page.contains("alice@corp.test") && page.contains("Nobody can say"), "{page}");
    assert_eq!(listed(&world, &cookie).await, Value::Null);
    let end = format!("{PATH}?end={program}");
    let lines = format!("{OWN}Cookie: {cookie}\r\n");
    assert_eq!(status(&post(&world, &end, &lines).await), 503);
    assert!(lives(&world, &program));
    *world.sessions.derived.lock().unwrap() = known;
    assert_eq!(status(&post(&world, &end, &lines).await), 303);
    assert!(!lives(&world, &program));
}
