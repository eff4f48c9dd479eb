//! The way to the broker: one channel, and another one once this service speaks by other settings.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use tokio::sync::watch;
use tonic::transport::Channel;

use crate::Endpoint;
use crate::wire::generated::broker_client::BrokerClient as Stub;

/// The largest answer: a full batch with ordinary claims, or one session with the largest.
const MAX_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

type Settings = watch::Receiver<Arc<ClientConfig>>;

/// The line of one client and its clones. What was begun on a channel ends there; what begins after a change of the
/// settings begins on a channel of its own, so that by the time a key is gone nothing of it is spoken any more.
pub(crate) struct Line {
    endpoint: Endpoint,
    // A lock: for a moment in each call, none of which is on the way of a request whose session is at hand.
    dialled: Mutex<Dialled>,
}

struct Dialled {
    stub: Stub<Channel>,
    settings: Option<Settings>,
}

impl Line {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        let settings = endpoint.settings();
        let dialled = Mutex::new(Dialled { stub: stub(&endpoint), settings });
        Self { endpoint, dialled }
    }

    /// For one call.
    pub(crate) fn stub(&self) -> Stub<Channel> {
        let mut dialled = self.dialled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(settings) = dialled.settings.as_mut().filter(|settings| settings.has_changed().unwrap_or(false)) {
            // Before the channel is there, which dials by the newest settings: no change falls between.
            settings.mark_unchanged();
            dialled.stub = stub(&self.endpoint);
        }
        dialled.stub.clone()
    }

    /// When a stream that begins after this has to begin anew.
    pub(crate) fn renewal(&self) -> Renewal {
        Renewal(self.endpoint.settings())
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Line").field(&self.endpoint).finish()
    }
}

/// A change of the settings that is awaited.
pub(crate) struct Renewal(Option<Settings>);

impl Renewal {
    /// Ends with the change; never where nothing can change. A caller that drops this future loses nothing.
    pub(crate) async fn due(&mut self) {
        if let Some(settings) = &mut self.0
            && settings.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal")
    }
}

fn stub(endpoint: &Endpoint) -> Stub<Channel> {
    Stub::new(endpoint.clone().channel()).max_decoding_message_size(MAX_MESSAGE_BYTES)
}
