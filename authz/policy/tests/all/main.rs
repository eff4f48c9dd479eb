//! The policy crate from outside: the language case by case, the definition against the compiled program,
//! what a decision costs, and the documentation's examples.

#![cfg(test)]

mod cost;
mod documentation;
mod errors;
mod naive;
mod program;
mod property;
mod semantics;
mod surroundings;
mod warnings;

use portcullis_identity::{ManualClock, Timestamp};
use portcullis_policy::eval;
use serde_json::Value;

/// Answers one line of `policy eval`.
fn answer(line: &Value) -> Value {
    let mut output = Vec::new();
    let clock = ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000));
    eval::run(line.to_string().as_bytes(), &mut output, &clock).unwrap();
    serde_json::from_slice(&output).unwrap()
}
