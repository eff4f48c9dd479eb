//! Request load with an opinion: every answer is compared with what it must be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_demo::Browser;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What one kind of request answered, by status; 0 is no answer at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(pub(crate) BTreeMap<u16, u64>);

impl Tally {
    /// How many answers had none of these.
    pub(crate) fn others(&self, statuses: &[u16]) -> u64 {
        self.0.iter().filter(|(status, _)| !statuses.contains(status)).map(|(_, count)| count).sum()
    }
}

/// A worker that asks for one address over and over.
#[derive(Debug)]
pub(crate) struct Worker {
    stop: CancellationToken,
    done: Arc<AtomicU64>,
    task: JoinHandle<(Tally, Browser)>,
}

impl Worker {
    /// Starts to ask as this visitor.
    pub(crate) fn start(mut browser: Browser, address: String) -> Self {
        let stop = CancellationToken::new();
        let done = Arc::new(AtomicU64::new(0));
        let (token, count) = (stop.clone(), Arc::clone(&done));
        let task = tokio::spawn(async move {
            let mut tally = Tally::default();
            while !token.is_cancelled() {
                let answer = browser.call(http::Method::GET, &address, "application/json").await;
                let status = answer.map_or(0, |page| page.status.as_u16());
                *tally.0.entry(status).or_default() += 1;
                count.fetch_add(1, Ordering::SeqCst);
                if status == 0 {
                    tokio::task::yield_now().await;
                }
            }
            (tally, browser)
        });
        Self { stop, done, task }
    }

    /// How many requests were answered so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// Ends it and answers what it saw, with the visitor.
    pub(crate) async fn finish(self) -> (Tally, Browser) {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

/// Waits until each of these has had `more` further answers.
pub(crate) async fn let_pass(workers: &[&Worker], more: u64) {
    let goals: Vec<u64> = workers.iter().map(|worker| worker.done() + more).collect();
    super::edge::eventually("the load makes progress", async || {
        workers.iter().zip(&goals).all(|(worker, goal)| worker.done() >= *goal).then_some(())
    })
    .await;
}
