//! The programs that a person let in: seen and ended by that person, from our own page.

use portcullis_broker_api::EndReason;
use portcullis_handover::Bind;
use portcullis_identity::SessionKey;
use portcullis_keys::{CredentialKind, Handle, SystemRandom};
use serde_json::{Value, json};

use super::browser::Browser;
use super::{AUTH, FOREIGN, House, SAME_ORIGIN, WIKI};
use crate::Sessions as _;

const PATH: &str = "/.portcullis/user";

/// Somebody with a browser, and a program that they let in.
struct Person {
    browser: Browser,
    program: Handle,
}

impl Person {
    async fn with_program(house: &House) -> Self {
        let (mut browser, bind) = (house.browser(), Bind::random(&SystemRandom));
        let own = house.sign_in(&mut browser, &bind).await.handle.key();
        let program = Handle::random(&SystemRandom);
        house.store.derive(&own, &program.key(), WIKI).await.unwrap().unwrap();
        Self { browser, program }
    }

    fn program(&self) -> SessionKey {
        self.program.key()
    }

    async fn listed(&mut self) -> Value {
        let page = self.browser.send("GET", PATH, &[("accept", "application/json")]).await;
        assert_eq!(page.status(), 200);
        serde_json::from_str::<Value>(page.body()).unwrap()["programs"].clone()
    }
}

fn end(program: SessionKey) -> String {
    format!("{PATH}?end={program}")
}

#[tokio::test]
async fn a_program_is_ended_by_a_form_of_our_own_page() {
    let house = House::new().await;
    let mut alice = Person::with_program(&house).await;
    let program = alice.program();
    assert_eq!(alice.listed().await[0]["session"], json!(program.to_string()));
    let page = alice.browser.get(PATH).await;
    assert!(page.body().contains(&format!("action=\"{}\"", end(program))), "{}", page.body());
    for headers in FOREIGN {
        let shown = alice.browser.send("POST", &end(program), headers).await;
        assert_eq!((shown.status(), shown.is_redirect()), (200, false), "{headers:?}");
        assert!(house.store.ended().is_empty(), "{headers:?}");
    }
    assert_eq!(alice.browser.get(&end(program)).await.status(), 200, "a GET ends nothing");
    assert!(house.store.ended().is_empty());
    let done = alice.browser.send("POST", &end(program), &[SAME_ORIGIN]).await;
    assert_eq!((done.status(), done.location_text().as_str()), (303, PATH));
    assert_eq!(house.store.ended(), [(program, EndReason::SignedOut)]);
    assert_eq!(alice.listed().await, json!([]));
    assert!(alice.browser.session_cookie().is_some() && house.store.keys().len() == 1, "the person stays signed in");
    // Twice does no harm.
    let again = alice.browser.send("POST", &end(program), &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!((again.status(), house.store.ended().len()), (303, 1));
}

#[tokio::test]
async fn nobody_ends_what_is_not_theirs() {
    let house = House::new().await;
    let (mut alice, mut bob) = (Person::with_program(&house).await, Person::with_program(&house).await);
    let bobs = bob.program();
    assert!(!alice.listed().await.to_string().contains(&bobs.to_string()));
    // A program that shows what it has as if it were a browser: it sees no siblings, and ends neither them nor itself.
    let keys = house.keys.credential().unwrap();
    let mut program = bob.browser.clone();
    let cookie = keys.mint(CredentialKind::Session, &bob.program, AUTH);
    program.jar.insert("__Host-portcullis".to_owned(), cookie);
    let page = program.send("GET", PATH, &[("accept", "application/json")]).await;
    assert_eq!(serde_json::from_str::<Value>(page.body()).unwrap()["programs"], json!([]));
    for intruder in [&mut alice.browser, &mut program] {
        let nothing = intruder.send("POST", &end(bobs), &[SAME_ORIGIN]).await;
        assert_eq!((nothing.status(), house.store.ended()), (303, vec![]));
    }
    let mut stranger = house.browser();
    assert_eq!(stranger.send("POST", &end(bobs), &[SAME_ORIGIN]).await.location_text(), "/.portcullis/sign_in");
    let script = [SAME_ORIGIN, ("accept", "application/json")];
    assert_eq!(stranger.send("POST", &end(bobs), &script).await.status(), 401);
    assert!(house.store.ended().is_empty());
    bob.browser.send("POST", &end(bobs), &[SAME_ORIGIN]).await;
    assert_eq!(house.store.ended(), [(bobs, EndReason::SignedOut)]);
}

#[tokio::test]
async fn a_broker_that_does_not_say_leaves_the_rest_of_the_page() {
    let house = House::new().await;
    let mut alice = Person::with_program(&house).await;
    house.store.set_unlisted(true);
    let page = alice.browser.get(PATH).await;
    assert_eq!(page.status(), 200);
    assert!(page.body().contains("alice@corp.test") && page.body().contains("Nobody can say just now"));
    assert_eq!(alice.listed().await, Value::Null);
    let program = alice.program();
    assert_eq!(alice.browser.send("POST", &end(program), &[SAME_ORIGIN]).await.status(), 503);
    assert!(house.store.ended().is_empty());
    house.store.set_unlisted(false);
    assert_eq!(alice.browser.send("POST", &end(program), &[SAME_ORIGIN]).await.status(), 303);
    assert_eq!(house.store.ended(), [(program, EndReason::SignedOut)]);
}
