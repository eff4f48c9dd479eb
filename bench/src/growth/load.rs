//! Load that counts: connections that ask one request after the other over many routes, and streams that stay open.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::series::say;
use crate::site::{Asked, STREAM, Site};

/// Connections of a load.
const CONNECTIONS: usize = 8;
/// Routes that a load goes over; more change nothing but the time it takes to mint their cookies.
const MOST_ROUTES: usize = 2_000;

/// Running load; ends when dropped.
#[derive(Debug)]
pub(super) struct Load {
    counts: Arc<Counts>,
    stop: CancellationToken,
    tasks: Vec<AbortOnDropHandle<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    good: AtomicU64,
    bad: AtomicU64,
    /// How the first that was not as it should be went.
    fault: OnceLock<String>,
}

impl Load {
    /// Asks as person 0 for every route of `site`'s first `routes`, in turn.
    pub(super) fn start(site: &Site, routes: usize) -> io::Result<Self> {
        let step = routes.div_ceil(MOST_ROUTES).max(1);
        let asked: io::Result<Vec<Asked>> =
            (0..routes).step_by(step).map(|route| site.asked(0, route, "/page")).collect();
        let (asked, way) = (Arc::new(asked?), site.way()?);
        let (counts, stop) = (Arc::new(Counts::default()), CancellationToken::new());
        let tasks = (0..CONNECTIONS).map(|connection| {
            let (asked, way) = (Arc::clone(&asked), way.clone());
            let (counts, stop) = (Arc::clone(&counts), stop.clone());
            AbortOnDropHandle::new(tokio::spawn(async move {
                let mut requests = asked.iter().cycle().skip(connection * asked.len() / CONNECTIONS);
                let mut visitor = None;
                while !stop.is_cancelled() {
                    let status = match (&mut visitor, requests.next()) {
                        (Some(visitor), Some(asked)) => Visit::ask(visitor, asked).await,
                        (none, _) => match way.connect().await {
                            Ok(connected) => {
                                *none = Some(connected);
                                continue;
                            }
                            Err(error) => Visit::Broken(error),
                        },
                    };
                    match status {
                        Visit::Good => counts.good.fetch_add(1, Ordering::Relaxed),
                        Visit::Bad(status) => {
                            counts.fault.get_or_init(|| format!("answered with {status}"));
                            counts.bad.fetch_add(1, Ordering::Relaxed)
                        }
                        Visit::Broken(error) => {
                            visitor = None;
                            counts.fault.get_or_init(|| error.to_string());
                            counts.bad.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
            }))
        });
        Ok(Self { tasks: tasks.collect(), counts, stop })
    }

    /// Answers that were as they should be so far, and others.
    pub(super) fn so_far(&self) -> (u64, u64) {
        (self.counts.good.load(Ordering::Relaxed), self.counts.bad.load(Ordering::Relaxed))
    }

    /// Lets every request under way finish, and answers the counts.
    pub(super) async fn finish(self) -> (u64, u64) {
        self.stop.cancel();
        for task in self.tasks {
            // A task that was cut off has counted what it had.
            drop(task.await);
        }
        if let Some(fault) = self.counts.fault.get() {
            say(&format!("the first request that failed: {fault}"));
        }
        (self.counts.good.load(Ordering::Relaxed), self.counts.bad.load(Ordering::Relaxed))
    }
}

/// How one request went.
enum Visit {
    Good,
    Bad(u16),
    Broken(io::Error),
}

impl Visit {
    async fn ask(visitor: &mut crate::site::Visitor, asked: &Asked) -> Self {
        match visitor.ask(asked).await {
            Ok(200) => Self::Good,
            Ok(status) => Self::Bad(status),
            Err(error) => Self::Broken(error),
        }
    }
}

/// Open streams on as many routes.
#[derive(Debug)]
pub(super) struct Streams {
    closed: Arc<AtomicU64>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Streams {
    /// Opens `count` of them as person 0.
    pub(super) async fn open(site: &Site, count: usize) -> io::Result<Self> {
        let closed = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for route in 0..count {
            let mut visitor = site.way()?.connect().await?;
            let status = visitor.open(&site.asked(0, route, STREAM)?).await?;
            if status != 200 {
                return Err(io::Error::other(format!("a stream was answered with {status}")));
            }
            let closed = Arc::clone(&closed);
            tasks.push(AbortOnDropHandle::new(tokio::spawn(async move {
                while visitor.more().await.is_ok() {}
                closed.fetch_add(1, Ordering::Relaxed);
            })));
        }
        Ok(Self { closed, _tasks: tasks })
    }

    /// How many the edge has closed.
    pub(super) fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }
}
