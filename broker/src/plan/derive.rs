//! A session made of another one: for a program of the same person, by the same sign-in.

use portcullis_broker_api::wire::generated as proto;
use portcullis_identity::SessionKey;

use super::{Plan, Planned, Settled, Step, answered, applied, put};
use crate::index::{Entry, Made};
use crate::queue::{Refusal, Reply};
use crate::reader;
use crate::state::Known;
use crate::storage::{Change, Expect, Kind, Outcome};

/// What became of a derivation; `None`: there is nothing to derive of.
pub(crate) type Derived = Option<proto::Session>;

/// A session that is being derived.
#[derive(Debug)]
pub(crate) struct Derive {
    key: SessionKey,
    parent: SessionKey,
    message: proto::Session,
    entry: Entry,
    pub(super) reply: Reply<Derived>,
}

impl Plan<'_> {
    /// Makes a session of `parent`, for `host`, if that one lives and is nobody's child: what a program has gives
    /// nothing on.
    pub(crate) fn derive(&self, (parent, key): (SessionKey, SessionKey), host: &str, reply: Reply<Derived>) -> Planned {
        match self.derived(parent, key, host) {
            Ok(Some((message, entry))) => {
                let value = self.shared.vault.reseal_session(&key, &message);
                let write = put(Kind::Session, key.as_bytes().to_vec(), Expect::Absent, value);
                let step = Step::Derive(Box::new(Derive { key, parent, message, entry, reply }));
                Some((step, vec![Change { writes: vec![write], log: None }]))
            }
            Ok(None) => answered(reply, Ok(None)),
            Err(refusal) => answered(reply, Err(refusal)),
        }
    }

    /// The new record: everything of the parent's but key and uses. Tokens stay the parent's.
    fn derived(
        &self,
        parent: SessionKey,
        key: SessionKey,
        host: &str,
    ) -> Result<Option<(proto::Session, Entry)>, Refusal> {
        let found = reader::session(self.shared, self.storage, &parent)?;
        let Some(of) = found.filter(|of| of.parent.is_none()) else { return Ok(None) };
        let message = proto::Session {
            key: key.as_bytes().to_vec(),
            version: 0,
            last_used: self.now.unix_millis(),
            parent: Some(parent.as_bytes().to_vec()),
            host: Some(host.to_owned()),
            ..of
        };
        let entry = Entry::of_stored(message.clone()).map_err(|error| reader::unopened(&error.into()))?;
        Ok(Some((message, entry)))
    }
}

impl Derive {
    pub(super) fn apply(self, outcomes: &[Outcome], known: &mut Known) -> Settled {
        let Self { key, parent, message, entry, reply } = self;
        let version = outcomes.first().and_then(|outcome| applied(*outcome));
        if version.is_some() {
            known.index.insert_derived(key, Made::of(parent, &message), entry);
        }
        let made = version.map(|version| proto::Session { version, ..message });
        Settled::Derived { made: Box::new(made.ok_or(Refusal::Exists)), reply }
    }
}
