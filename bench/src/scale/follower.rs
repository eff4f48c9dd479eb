//! A replica that follows a site's broker.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use portcullis_broker_api::{Change, Replica, ReplicaBounds, Resolved};
use portcullis_identity::{Clock as _, SystemClock};
use portcullis_keys::ServiceRole;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::site::Site;

/// Longer than anything here takes: a bound for what hangs, not a measure.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A replica as each proxy has one, and what it hears.
pub(super) struct Follower {
    replica: Arc<Replica>,
    changes: Receiver<Change>,
    _stop: DropGuard,
}

impl Follower {
    /// Follows the site's broker and holds nothing yet.
    pub(super) async fn start(site: &Site, max_bytes: usize) -> io::Result<Self> {
        let bounds = ReplicaBounds { max_bytes, max_staleness: Duration::from_secs(300) };
        let replica = Replica::new(site.broker(ServiceRole::Proxy), bounds);
        let mut changes = replica.changes();
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&replica).run(stop.clone()));
        // Its first stream begins with a reset.
        timeout(PATIENCE, changes.recv()).await?.map_err(io::Error::other)?;
        Ok(Self { replica, changes, _stop: stop.drop_guard() })
    }

    /// Holds person `number`'s session.
    pub(super) async fn hold(&self, number: u64) -> io::Result<()> {
        match self.replica.fetch(&Site::key(number)).await {
            Resolved::Session(_) => Ok(()),
            other @ (Resolved::Absent | Resolved::Missing | Resolved::Stale) => {
                Err(io::Error::other(format!("a session is not held: {other:?}")))
            }
        }
    }

    /// Waits until it has let go of person `number`'s session.
    pub(super) async fn let_go(&mut self, number: u64) -> io::Result<()> {
        let key = Site::key(number);
        while !matches!(self.replica.resolve(&key, SystemClock.now()), Resolved::Absent) {
            match timeout(PATIENCE, self.changes.recv()).await? {
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(io::Error::other("a replica has ended")),
            }
        }
        Ok(())
    }
}
