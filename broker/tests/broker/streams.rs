//! The stream as a follower sees it.

use portcullis_broker_api::{EndReason, EndSelector, Feed, FeedEvent, ServerId};

use crate::house::{House, SOON, key};

async fn next(feed: &mut Feed) -> FeedEvent {
    tokio::time::timeout(SOON, feed.next()).await.unwrap().unwrap().unwrap()
}

async fn start(feed: &mut Feed) -> (ServerId, u64, bool) {
    let FeedEvent::Start { server, version, reset } = next(feed).await else { panic!("not a start") };
    (server, version, reset)
}

async fn end(house: &House, name: &str) {
    house.authn().create(house.new_session(name)).await.unwrap();
    house.authn().end(EndSelector::Key(key(name)), EndReason::Revoked).await.unwrap();
}

#[tokio::test]
async fn a_first_stream_starts_at_the_head_with_a_reset_and_tells_ends_in_order() {
    let house = House::new();
    end(&house, "before").await;
    let mut feed = house.proxy().watch(None).await.unwrap();
    let (server, version, reset) = start(&mut feed).await;
    assert_eq!((server, version, reset), (house.broker().status().server, house.broker().status().version, true));
    end(&house, "a").await;
    end(&house, "b").await;
    let mut last = version;
    for name in ["a", "b"] {
        let FeedEvent::Ended { key: ended, version, reason } = next(&mut feed).await else { panic!("not an end") };
        assert_eq!((ended, reason), (key(name), EndReason::Revoked));
        assert!(version > last);
        last = version;
    }
}

#[tokio::test]
async fn a_quiet_stream_beats() {
    let house = House::new();
    let mut feed = house.proxy().watch(None).await.unwrap();
    let (_, version, _) = start(&mut feed).await;
    house.authn().create(house.new_session("a")).await.unwrap();
    let FeedEvent::Heartbeat { version: beat } = next(&mut feed).await else { panic!("not a heartbeat") };
    assert_eq!(beat, version + 1, "a creation is no event but a version");
}

#[tokio::test]
async fn a_follower_resumes_where_it_stood_also_at_a_restarted_broker() {
    let mut house = House::new();
    let mut feed = house.proxy().watch(None).await.unwrap();
    let (server, version, _) = start(&mut feed).await;
    drop(feed);
    end(&house, "missed").await;
    for restart in [false, true] {
        if restart {
            house.stop().await;
            house.start();
        }
        let mut feed = house.proxy().watch(Some((server, version))).await.unwrap();
        assert_eq!(start(&mut feed).await, (server, version, false));
        assert!(matches!(next(&mut feed).await, FeedEvent::Ended { key: ended, .. } if ended == key("missed")));
    }
}

#[tokio::test]
async fn a_cursor_of_another_store_or_of_the_future_is_reset() {
    let house = House::new();
    let server = house.broker().status().server;
    let stranger = ServerId::from_bytes(&[3; 16]).unwrap();
    for (cursor, expected) in [((server, 0), false), ((server, 7), true), ((stranger, 0), true)] {
        let mut feed = house.proxy().watch(Some(cursor)).await.unwrap();
        assert_eq!(start(&mut feed).await, (server, 0, expected), "{cursor:?}");
    }
}

#[tokio::test]
async fn a_closing_broker_ends_its_streams() {
    let mut house = House::new();
    let mut feed = house.proxy().watch(None).await.unwrap();
    start(&mut feed).await;
    assert_eq!(house.metric("portcullis_broker_watchers", None), 1);
    house.stop().await;
    // A clean end or a cut connection: either way the follower knows at once.
    assert!(matches!(tokio::time::timeout(SOON, feed.next()).await.unwrap(), Ok(None) | Err(_)));
}
