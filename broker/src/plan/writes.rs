//! The two writes that every plan is made of, and what came of one.

use crate::storage::{Expect, Kind, Outcome, Write};

pub(crate) const fn applied(outcome: Outcome) -> Option<u64> {
    match outcome {
        Outcome::Applied { version } => Some(version),
        Outcome::Conflict => None,
    }
}

pub(crate) const fn put(kind: Kind, id: Vec<u8>, expect: Expect, value: Vec<u8>) -> Write {
    Write { kind, id, expect, value: Some(value) }
}

pub(crate) const fn delete(kind: Kind, id: Vec<u8>, expect: Expect) -> Write {
    Write { kind, id, expect, value: None }
}
