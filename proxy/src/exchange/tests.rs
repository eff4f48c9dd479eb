use tokio::time::Instant;

use super::*;

fn exchange(head: u64) -> Arc<Exchange> {
    Exchange::new(Arc::new(Peer::unknown()), Duration::from_secs(head))
}

/// Runs an exchange on a connection whose watch is kept.
async fn run<F: Future>(exchange: Arc<Exchange>, work: F) -> Result<F::Output, Cut> {
    let peer = Arc::clone(&exchange.peer);
    tokio::select! {
        outcome = exchange.run(work, |_| ()) => outcome,
        () = peer.watch.keep() => panic!("a watch has no end"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_cut_and_one_that_comes_is_served() {
    let late = exchange(60);
    assert_eq!(run(late, std::future::pending::<()>()).await, Err(Cut::Head));

    let served = exchange(60);
    let served_work = Arc::clone(&served);
    let work = async move {
        served_work.head_read();
        tokio::time::sleep(Duration::from_secs(600)).await;
        7
    };
    assert_eq!(run(served, work).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_cut_at_the_idle_limit_and_activity_moves_it() {
    let one = exchange(60);
    let inner = Arc::clone(&one);
    let work = async move {
        inner.head_read();
        inner.limit(Deadlines { idle: Some(Duration::from_secs(10)), ..Deadlines::default() });
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(8)).await;
            inner.active();
        }
        std::future::pending::<()>().await;
    };
    let started = Instant::now();
    assert_eq!(run(one, work).await, Err(Cut::Idle));
    let lasted = started.elapsed();
    assert!((Duration::from_secs(50)..Duration::from_secs(51)).contains(&lasted), "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_short_total_wakes_a_watch_that_sleeps_longer() {
    let one = exchange(60);
    let inner = Arc::clone(&one);
    let work = async move {
        inner.head_read();
        tokio::time::sleep(Duration::from_secs(5)).await;
        inner.limit(Deadlines { total: Some(Duration::from_millis(50)), ..Deadlines::default() });
        std::future::pending::<()>().await;
    };
    let started = Instant::now();
    assert_eq!(run(one, work).await, Err(Cut::Timeout));
    assert!(started.elapsed() < Duration::from_millis(5_200));
}

#[tokio::test(start_paused = true)]
async fn a_body_without_progress_is_cut_and_a_finished_one_is_not() {
    let stalled = exchange(60);
    stalled.head_read();
    stalled.limit(Deadlines { body: Some(Duration::from_secs(60)), ..Deadlines::default() });
    assert_eq!(run(Arc::clone(&stalled), std::future::pending::<()>()).await, Err(Cut::Body));
    assert_eq!(stalled.why_cut(), Some(Cut::Body));

    let done = exchange(60);
    done.head_read();
    done.limit(Deadlines { body: Some(Duration::from_secs(60)), ..Deadlines::default() });
    done.body_passed(true);
    assert_eq!(run(done, tokio::time::sleep(Duration::from_secs(600))).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_cut_from_outside_ends_a_silent_exchange_at_once() {
    let one = exchange(60);
    one.head_read();
    let outside = Arc::clone(&one);
    let cutter = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(30)).await;
        outside.cut(Cut::Revoked);
    });
    let started = Instant::now();
    assert_eq!(run(one, std::future::pending::<()>()).await, Err(Cut::Revoked));
    assert_eq!(started.elapsed().as_secs(), 30);
    cutter.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_set_long_after_the_last_request_is_kept_to_the_moment() {
    let first = exchange(60);
    let peer = Arc::clone(&first.peer);
    let started = Instant::now();
    let requests = async move {
        first.head_read();
        assert_eq!(Arc::clone(&first).run(std::future::ready(()), |_| ()).await, Ok(()));
        // By now the watch sleeps until the head of a request that does not come.
        let second = Exchange::new(Arc::clone(&first.peer), Duration::from_secs(60));
        let inner = Arc::clone(&second);
        second
            .run(
                async move {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    inner.head_read();
                    inner.limit(Deadlines { total: Some(Duration::from_millis(1500)), ..Deadlines::default() });
                    std::future::pending::<()>().await;
                },
                |_| (),
            )
            .await
    };
    let outcome = tokio::select! {
        outcome = requests => outcome,
        () = peer.watch.keep() => panic!("a watch has no end"),
    };
    assert_eq!((outcome, started.elapsed().as_millis() / 10), (Err(Cut::Timeout), 2150));
    assert!(peer.watch.is_empty(), "an exchange that ended is watched no more");
}

/// The two streams of a connection whose own task has ended: one that ends in time and one whose session ends first.
#[tokio::test(start_paused = true)]
async fn streams_that_outlive_their_connection_are_still_watched_and_not_cut_for_it() {
    let peer = Arc::new(Peer::unknown());
    let stream = |lasts: u64, may_last: u64| {
        let exchange = Exchange::new(Arc::clone(&peer), Duration::from_secs(60));
        exchange.head_read();
        let inner = Arc::clone(&exchange);
        let work = async move {
            inner.end_within(Duration::from_secs(may_last));
            tokio::time::sleep(Duration::from_secs(lasts)).await;
        };
        tokio::spawn(async move { exchange.run(work, |_| ()).await })
    };
    let (quick, slow) = (stream(600, 900), stream(600, 300));
    let connection = tokio::time::timeout(Duration::from_secs(5), peer.watch.keep());
    assert!(connection.await.is_err(), "a connection's watch lasts as long as the connection");
    assert!(!quick.is_finished() && !slow.is_finished(), "the end of a connection cuts nothing");
    let both = async { (quick.await.unwrap(), slow.await.unwrap()) };
    let left = async {
        let outcomes = both.await;
        peer.watch.end();
        outcomes
    };
    let (outcomes, ()) = tokio::join!(left, peer.watch.keep());
    assert_eq!(outcomes, (Ok(()), Err(Cut::Timeout)));
    assert!(peer.watch.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_closes_a_stream_that_outlived_its_connection() {
    let of = |peer: &Arc<Peer>| Exchange::new(Arc::clone(peer), Duration::from_secs(60));
    let peer = Arc::new(Peer::unknown());
    let (ended, other) = (of(&peer), of(&peer));
    ended.head_read();
    other.head_read();
    let [one, two] = [&ended, &other].map(Arc::clone);
    let silent = tokio::spawn(async move { one.run(std::future::pending::<()>(), |_| ()).await });
    let spared = tokio::spawn(async move { two.run(tokio::time::sleep(Duration::from_secs(30)), |_| ()).await });
    let connection = tokio::time::timeout(Duration::from_secs(5), peer.watch.keep());
    assert!(connection.await.is_err());
    // Nobody keeps the watch for the moment: what is revoked needs no timer.
    ended.cut(Cut::Revoked);
    assert_eq!(silent.await.unwrap(), Err(Cut::Revoked));
    assert_eq!(spared.await.unwrap(), Ok(()));
    assert_eq!(other.why_cut(), None);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_warned_has_a_moment_to_say_so_and_one_that_says_nothing_is_cut() {
    let session = Duration::from_secs(5) + GRACE / 2;
    for (deadlines, cut, session) in [
        (Deadlines { total: Some(Duration::from_secs(5)), ..Deadlines::default() }, Cut::Timeout, None),
        (Deadlines { idle: Some(Duration::from_secs(5)), ..Deadlines::default() }, Cut::Idle, None),
        (Deadlines { total: Some(Duration::from_secs(5)), ..Deadlines::default() }, Cut::Timeout, Some(session)),
    ] {
        let one = exchange(60);
        one.head_read();
        one.limit(Deadlines { warned: true, ..deadlines });
        session.into_iter().for_each(|rest| one.end_within(rest));
        let inner = Arc::clone(&one);
        let late = poll_fn(move |_| if inner.is_late() { Poll::Ready(()) } else { Poll::Pending });
        let started = Instant::now();
        assert_eq!(run(Arc::clone(&one), late).await, Ok(()));
        assert_eq!(started.elapsed().as_secs(), 5);
        assert_eq!(run(one, std::future::pending::<()>()).await, Err(cut));
        assert_eq!(started.elapsed(), session.unwrap_or(Duration::from_secs(5) + GRACE));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_warned_once_the_client_has_its_head_or_of_the_end_of_a_session() {
    let answered: fn(&Exchange) = Exchange::answered;
    let ends: fn(&Exchange) = |exchange| exchange.end_within(Duration::from_secs(5));
    for no_longer in [answered, ends] {
        let one = exchange(60);
        one.head_read();
        one.limit(Deadlines { total: Some(Duration::from_secs(5)), warned: true, ..Deadlines::default() });
        no_longer(&one);
        let started = Instant::now();
        assert_eq!(run(Arc::clone(&one), std::future::pending::<()>()).await, Err(Cut::Timeout));
        assert_eq!(started.elapsed(), Duration::from_secs(5));
        assert!(!one.is_late());
    }
}
