//! The broker's log as it arrives.

use std::fmt;

use portcullis_identity::{Session, SessionKey};
use tonic::Streaming;

use crate::line::Renewal;
use crate::wire::generated as proto;
use crate::wire::{self, WireError};
use crate::{BrokerError, EndReason};

/// The id of one store. Versions of two stores cannot be compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ServerId([u8; 16]);

impl ServerId {
    /// The id as messages carry it.
    ///
    /// # Errors
    /// [`WireError::OutOfRange`] for anything but 16 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        wire::id(bytes, "server_id").map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerId({self})")
    }
}

/// The stream of one [`crate::BrokerClient::watch`] call, oldest first.
#[derive(Debug)]
pub struct Feed {
    stream: Streaming<proto::WatchEvent>,
    renewal: Renewal,
}

/// One step of the log. `version`: with this, the follower knows every change up to there.
#[derive(Debug)]
pub enum FeedEvent {
    /// Where the stream starts.
    Start {
        /// The store that is followed.
        server: ServerId,
        /// The version that the stream starts after.
        version: u64,
        /// Changes were missed: nothing held may be trusted.
        reset: bool,
    },
    /// A session is over.
    Ended {
        /// Its key.
        key: SessionKey,
        /// The change's version.
        version: u64,
        /// Why.
        reason: EndReason,
    },
    /// A session has a newer version.
    Changed {
        /// The change's version.
        version: u64,
        /// The session as it is now.
        session: Box<Session>,
    },
    /// A session lives, and is not to be believed before it was asked for again.
    Dormant {
        /// Its key.
        key: SessionKey,
        /// The change's version.
        version: u64,
    },
    /// Nothing happened, and the broker lives.
    Heartbeat {
        /// The log's head.
        version: u64,
    },
}

impl Feed {
    pub(crate) const fn new(stream: Streaming<proto::WatchEvent>, renewal: Renewal) -> Self {
        Self { stream, renewal }
    }

    /// The next event; `None`: the broker closed the stream, or this service speaks by other settings now. A caller that
    /// drops this future loses nothing.
    ///
    /// # Errors
    /// [`BrokerError`]; the stream is over.
    pub async fn next(&mut self) -> Result<Option<FeedEvent>, BrokerError> {
        // Both arms are cancel-safe: a message stays in the stream, a change stays to be seen.
        let message = tokio::select! {
            () = self.renewal.due() => None,
            message = self.stream.message() => message?,
        };
        match message {
            None => Ok(None),
            Some(event) => Ok(Some(event_of(event)?)),
        }
    }
}

fn event_of(event: proto::WatchEvent) -> Result<FeedEvent, WireError> {
    use proto::watch_event::Event;
    let proto::WatchEvent { version, event } = event;
    Ok(match event {
        None => FeedEvent::Heartbeat { version },
        Some(Event::Start(proto::Start { server_id, reset })) => {
            FeedEvent::Start { server: ServerId::from_bytes(&server_id)?, version, reset }
        }
        Some(Event::Ended(proto::EndedEvent { key, reason })) => {
            FeedEvent::Ended { key: wire::key(&key)?, version, reason: wire::end_reason(reason)? }
        }
        Some(Event::Dormant(proto::DormantEvent { key })) => FeedEvent::Dormant { key: wire::key(&key)?, version },
        Some(Event::Changed(session)) => FeedEvent::Changed { version, session: Box::new(wire::session(session)?) },
    })
}
