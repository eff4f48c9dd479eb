//! A program that a person lets in, by the steps of docs/sign-in.md: its own session, seen and ended by that person.

use http::Method;
use serde_json::{Value, json};

use super::edge::{Edge, eventually};
use super::split::{BROKER, split};
use portcullis_demo::Browser;

/// Lets a program in for `hello`, by `person`'s click: the program, as a client with a cookie jar of its own.
async fn let_in(edge: &Edge, person: &mut Browser) -> Browser {
    let login = edge.url("hello", "/.portcullis/api/v1/login?portcullis_redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2F");
    let address = edge.visitor().call(Method::GET, &login, "*/*").await.unwrap().text;
    let question = person.open(address.trim()).await.unwrap();
    let action = question.text.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
    let action = question.url.join(&action.replace("&#38;", "&")).unwrap();
    let sent = person.step(Method::POST, &action, Some(String::new())).await.unwrap();
    let back = url::Url::parse(sent.header("location")).unwrap();
    let credential = back.query_pairs().find(|(name, _)| name == "portcullis_credential").unwrap().1.into_owned();
    let mut program = edge.visitor();
    let host = url::Url::parse(&login).unwrap().host_str().unwrap().to_owned();
    program.plant_cookie(&host, "__Host-portcullis", &credential);
    program
}

/// What `browser` sees of programs at `host`.
async fn listed(edge: &Edge, browser: &mut Browser, host: &str) -> Value {
    let page = browser.call(Method::GET, &edge.url(host, "/.portcullis/user"), "application/json").await.unwrap();
    assert_eq!(page.status, 200, "{}", page.text);
    serde_json::from_str::<Value>(&page.text).unwrap()["programs"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_the_programs_they_let_in_and_ends_one() {
    let mut edge = split().await;
    let mut alice = edge.signed_in("alice").await;
    assert_eq!(listed(&edge, &mut alice, "hello").await, json!([]));
    let mut first = let_in(&edge, &mut alice).await;
    let mut second = let_in(&edge, &mut alice).await;
    for program in [&mut first, &mut second] {
        assert_eq!(edge.status(program, "hello", "/json").await, 200);
        assert_eq!(listed(&edge, program, "hello").await, json!([]), "a program sees no siblings");
    }
    // On every host of hers, the sign-in host too.
    let programs = listed(&edge, &mut alice, "hello").await;
    assert_eq!(programs, listed(&edge, &mut alice, "auth").await);
    assert_eq!(programs.as_array().map(Vec::len), Some(2), "{programs}");
    assert_eq!(programs[0]["host"], edge.url("hello", "").split('/').nth(2).unwrap().split(':').next().unwrap());
    let end = |edge: &Edge, host: &str, number: usize| {
        edge.url(host, &format!("/.portcullis/user?end={}", programs[number]["session"].as_str().unwrap()))
    };
    // One program cannot end the other, whatever it says of where it comes from.
    assert_eq!(second.submit(&end(&edge, "hello", 0), &[]).await.unwrap().status, 200);
    assert_eq!(edge.status(&mut first, "hello", "/json").await, 200);
    let page = alice.submit(&end(&edge, "hello", 0), &[]).await.unwrap();
    assert!(page.status == 200 && page.text.contains(programs[1]["session"].as_str().unwrap()), "{}", page.text);
    assert_eq!(edge.status(&mut first, "hello", "/json").await, 401);
    assert_eq!(edge.status(&mut second, "hello", "/json").await, 200);
    alice.submit(&end(&edge, "auth", 1), &[]).await.unwrap();
    eventually("the proxy has heard of it", async || {
        (edge.status(&mut second, "hello", "/json").await == 401).then_some(())
    })
    .await;
    assert_eq!(listed(&edge, &mut alice, "auth").await, json!([]));
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 200);
    // Without the broker the page says that nobody knows, and goes on.
    edge.services[BROKER].kill().await;
    assert_eq!(listed(&edge, &mut alice, "hello").await, Value::Null);
}
