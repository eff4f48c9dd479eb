//! The stream of one follower: a cursor in the ring, and a heartbeat when there is nothing to tell.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, Stream};
use portcullis_broker_api::ServerId;
use portcullis_broker_api::wire::{self, generated as proto};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::log::Page;
use crate::pulse::{Pulse, Woken};
use crate::queue::Queue;
use crate::reader::{Ahead, Read};
use crate::state::Shared;
use crate::storage::{LogEntry, News};

/// Entries copied out of the ring at a time.
const PAGE: usize = 256;

/// One follower.
struct Follower {
    shared: Arc<Shared>,
    pulse: Pulse,
    cursor: u64,
    reads: Queue<Read>,
    start: Option<proto::WatchEvent>,
    /// What is told next.
    ready: VecDeque<(u64, LogEntry)>,
    // Counts this follower for as long as its stream lives.
    _counted: Counted,
}

/// The events after `cursor`, beginning with a start. The stream ends when the broker does, or when the
/// follower is too slow for the ring: it comes back and is told to start over.
pub(crate) fn follow(
    shared: Arc<Shared>,
    reads: Queue<Read>,
    cursor: Option<(ServerId, u64)>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<proto::WatchEvent, Status>> {
    let mut pulse = Pulse::new(&shared, stop);
    let counted = Counted::new(&shared);
    let resumes = match cursor {
        Some((server, version)) if server == shared.server => match shared.known().ring.after(version, 1) {
            Page::Entries { entries: _, head: _ } => Some(version),
            Page::OffTheRing => None,
        },
        Some(_) | None => None,
    };
    if resumes.is_some() {
        pulse.beat_now();
    }
    let cursor = resumes.unwrap_or_else(|| shared.known().ring.head());
    let start = proto::Start { server_id: shared.server.as_bytes().to_vec(), reset: resumes.is_none() };
    let start = Some(event(cursor, Some(proto::watch_event::Event::Start(start))));
    let follower = Follower { shared, pulse, cursor, reads, start, ready: VecDeque::new(), _counted: counted };
    stream::unfold(follower, async |mut follower| {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<proto::WatchEvent> {
        loop {
            if let Some(start) = self.start.take() {
                return Some(start);
            }
            if let Some((version, entry)) = self.ready.pop_front() {
                let event = self.told(version, entry).await?;
                self.pulse.said();
                return Some(event);
            }
            self.pulse.mark();
            self.read()?;
            if !self.ready.is_empty() {
                continue;
            }
            if self.pulse.wait().await? == Woken::Beat {
                return Some(event(self.cursor, None));
            }
        }
    }

    /// A change is told with the session as it is by now, or as a mere beat if it has ended since, which a later entry
    /// tells. `None`: it cannot be read, and the follower comes back for it.
    async fn told(&self, version: u64, LogEntry { key, news }: LogEntry) -> Option<proto::WatchEvent> {
        use proto::watch_event::Event;
        let told = match news {
            News::Ended(reason) => {
                let reason = wire::reason_message(reason).into();
                Some(Event::Ended(proto::EndedEvent { key: key.as_bytes().to_vec(), reason }))
            }
            News::Dormant => Some(Event::Dormant(proto::DormantEvent { key: key.as_bytes().to_vec() })),
            News::Changed => {
                let answer =
                    self.reads.ask(|reply| Read::Fetch { keys: vec![key], ahead: Ahead::No, reply }).await.ok()?;
                answer.session.into_iter().next().map(Event::Changed)
            }
        };
        Some(event(version, told))
    }

    /// Takes the next page; `None`: the cursor fell off the ring.
    fn read(&mut self) -> Option<()> {
        let Page::Entries { entries, head } = self.shared.known().ring.after(self.cursor, PAGE) else { return None };
        let whole = entries.len() < PAGE;
        for (version, entry) in entries {
            self.ready.push_back((version, entry));
            self.cursor = version;
        }
        if whole {
            self.cursor = head;
        }
        Some(())
    }
}

const fn event(version: u64, event: Option<proto::watch_event::Event>) -> proto::WatchEvent {
    proto::WatchEvent { version, event }
}

/// One follower in the metric.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.metrics.watchers.inc();
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.watchers.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::StreamExt as _;
    use portcullis_broker_api::EndReason;
    use portcullis_identity::{ManualClock, SessionKey, Timestamp};
    use portcullis_keys::{KeyRing, SystemRandom};

    use super::*;
    use crate::metrics::Metrics;
    use crate::pulse::HEARTBEAT;
    use crate::storage::{Change, LOG_ENTRIES, Memory, Storage as _};
    use crate::vault::Vault;

    const END: LogEntry = LogEntry { key: SessionKey::from_bytes([7; 32]), news: News::Ended(EndReason::Revoked) };

    fn shared() -> Arc<Shared> {
        let storage = Memory::new([1; 16]);
        let ends = vec![Change { writes: Vec::new(), log: Some(END) }; LOG_ENTRIES + 1];
        storage.commit(&ends).unwrap();
        let vault = Vault::new(KeyRing::generate(&SystemRandom).0.store().unwrap(), Arc::new(SystemRandom));
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        Arc::new(Shared::load(&storage, vault, clock, Metrics::new().unwrap(), [0; 32]).unwrap())
    }

    fn end(shared: &Shared) {
        let mut known = shared.known_mut();
        let version = known.ring.head() + 1;
        known.ring.push(version, END);
        drop(known);
        shared.publish(version);
    }

    type Events = Pin<Box<dyn Stream<Item = Result<proto::WatchEvent, Status>>>>;

    /// What a follower hears that knows everything up to `version`.
    fn heard_after(shared: &Arc<Shared>, version: u64) -> Events {
        let cursor = Some((shared.server, version));
        Box::pin(follow(Arc::clone(shared), Queue::new(1).0, cursor, CancellationToken::new()))
    }

    async fn reset_from(shared: &Arc<Shared>, version: u64) -> bool {
        let mut stream = heard_after(shared, version);
        match stream.next().await.unwrap().unwrap().event {
            Some(proto::watch_event::Event::Start(start)) => start.reset,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_follower_older_than_the_ring_starts_over_and_one_inside_it_resumes() {
        let shared = shared();
        assert!(reset_from(&shared, 0).await);
        assert!(!reset_from(&shared, 1).await);
    }

    #[tokio::test]
    async fn a_follower_who_falls_off_the_ring_loses_its_stream() {
        let shared = shared();
        let mut slow = heard_after(&shared, shared.head());
        slow.next().await.unwrap().unwrap();
        (0..=LOG_ENTRIES).for_each(|_| end(&shared));
        assert!(slow.next().await.is_none());
    }

    #[tokio::test]
    async fn a_follower_that_resumes_hears_at_once_that_there_is_nothing() {
        let shared = shared();
        let mut stream = heard_after(&shared, shared.head());
        stream.next().await.unwrap().unwrap();
        let beat = tokio::time::timeout(HEARTBEAT / 2, stream.next()).await.expect("no heartbeat").unwrap().unwrap();
        assert_eq!((beat.version, beat.event), (shared.head(), None));
    }

    #[tokio::test]
    async fn commits_that_tell_nothing_put_no_heartbeat_off() {
        let shared = shared();
        let head = shared.head();
        let mut stream = heard_after(&shared, head);
        // Its start, and that there is nothing after it.
        stream.next().await.unwrap().unwrap();
        stream.next().await.unwrap().unwrap();
        let commits = async {
            for version in head + 1.. {
                shared.known_mut().ring.advance(version);
                shared.publish(version);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            event = stream.next() => {
                let event = event.unwrap().unwrap();
                assert!(event.event.is_none() && event.version > head);
            }
            () = commits => {}
            () = tokio::time::sleep(HEARTBEAT * 3) => panic!("no heartbeat"),
        }
    }

    #[tokio::test]
    async fn a_follower_behind_by_many_pages_reads_every_one() {
        let shared = shared();
        let stream = heard_after(&shared, 1);
        let events: Vec<_> = stream.take(LOG_ENTRIES + 1).map(|event| event.unwrap().version).collect().await;
        assert!(events.windows(2).skip(1).all(|pair| pair[1] == pair[0] + 1));
        assert_eq!(events.last(), Some(&shared.head()));
        assert_eq!(shared.metrics.watchers.get(), 0);
    }
}
