//! Dormant sessions: replicas let go of them, and ask again at the next use.

use portcullis_identity::{ProviderName, SessionKey};

use super::{Plan, Planned, Settled, Step, answered, applied};
use crate::queue::Reply;
use crate::state::Known;
use crate::storage::{Change, LogEntry, News, Outcome};

/// The most sessions that one look tells of, but for what was made of the last one.
const TOLD: usize = 1024;

/// Dormant sessions that are being told of.
#[derive(Debug)]
pub(crate) struct Tell {
    keys: Vec<SessionKey>,
    pub(super) reply: Reply<()>,
}

impl Plan<'_> {
    /// Tells replicas of sessions of these providers that are dormant by now, and of what was made of them; each once.
    pub(crate) fn tell_dormant(&self, providers: &[ProviderName], reply: Reply<()>) -> Planned {
        let mut keys = Vec::new();
        {
            let index = &self.shared.known().index;
            for key in index.newly_dormant(self.now, providers, TOLD) {
                if keys.len() >= TOLD {
                    break;
                }
                keys.push(key);
                keys.append(&mut index.families().derived(&key));
            }
        }
        if keys.is_empty() {
            return answered(reply, Ok(()));
        }
        let told =
            |key: &SessionKey| Change { writes: Vec::new(), log: Some(LogEntry { key: *key, news: News::Dormant }) };
        let changes = keys.iter().map(told).collect();
        Some((Step::Tell(Tell { keys, reply }), changes))
    }
}

impl Tell {
    pub(super) fn apply(self, outcomes: &[Outcome], known: &mut Known) -> Settled {
        let Self { keys, reply } = self;
        for (key, outcome) in keys.into_iter().zip(outcomes) {
            let Some(version) = applied(*outcome) else { continue };
            known.ring.push(version, LogEntry { key, news: News::Dormant });
            known.index.dormancy_told(&key);
        }
        Settled::Done { reply }
    }
}
