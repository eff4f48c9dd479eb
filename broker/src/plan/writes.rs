//! The two writes that every plan is made of, what came of one, and what is answered without any.

use super::Planned;
use crate::queue::{Refusal, Reply, answer};
use crate::storage::{Expect, Kind, Outcome, Write};

pub(crate) const fn applied(outcome: Outcome) -> Option<u64> {
    match outcome {
        Outcome::Applied { version } => Some(version),
        Outcome::Conflict => None,
    }
}

/// Answers at once: nothing is to be written.
pub(crate) fn answered<T>(reply: Reply<T>, outcome: Result<T, Refusal>) -> Planned {
    answer(reply, outcome);
    None
}

pub(crate) const fn put(kind: Kind, id: Vec<u8>, expect: Expect, value: Vec<u8>) -> Write {
    Write { kind, id, expect, value: Some(value) }
}

pub(crate) const fn delete(kind: Kind, id: Vec<u8>, expect: Expect) -> Write {
    Write { kind, id, expect, value: None }
}
