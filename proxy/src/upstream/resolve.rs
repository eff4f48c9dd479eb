//! Resolves the names of upstreams, beside the requests: every round asks for all names in use and keeps the
//! last good answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use super::{Target, Targets};

/// Between two rounds. The system's resolver tells no TTL; this is short enough for a failover by DNS.
const ROUND: Duration = Duration::from_secs(15);

/// The longest one look-up may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Look-ups at a time: the system's resolver takes a thread for each.
const AT_ONCE: usize = 16;

/// The most addresses of one name that are used.
const ADDRESSES: usize = 64;

/// Resolves until `stop`.
pub(crate) async fn keep_resolving(targets: Arc<Targets>, stop: CancellationToken) {
    loop {
        let names = targets.in_use().into_iter().filter(|target| !target.is_literal());
        stream::iter(names).for_each_concurrent(AT_ONCE, resolve).await;
        // All arms are cancel-safe: a notification that is not taken stays.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
            () = targets.added.notified() => {}
        }
    }
}

async fn resolve(target: Arc<Target>) {
    let lookup = tokio::net::lookup_host((&*target.host, target.port));
    let found: Vec<SocketAddr> = match tokio::time::timeout(PATIENCE, lookup).await {
        Ok(Ok(addresses)) => addresses.take(ADDRESSES).collect(),
        Ok(Err(error)) => {
            tracing::warn!(upstream.host = %target.host, %error, "upstream name does not resolve, keeping the last addresses");
            Vec::new()
        }
        Err(_) => {
            tracing::warn!(upstream.host = %target.host, "upstream name resolves too slowly, keeping the last addresses");
            Vec::new()
        }
    };
    target.located(&found);
}
