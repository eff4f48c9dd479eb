//! Policies outside of requests: `policy test`, `policy diff` and `explain` of supposed requests. All three ask one
//! [`judge`](judge::judge), which asks the gate of the proxy. Nothing here talks to a running process.

mod advice;
mod ask;
mod coverage;
mod diff;
mod fault;
mod inline;
mod judge;
mod junit;
mod reduced;
mod report;
mod site;
mod suppose;
mod table;
mod table_case;
mod tree_json;
mod trial;

pub(crate) use advice::{Door, changes};
pub(crate) use diff::run as diff;
pub(crate) use judge::{Judged, Outcome, Why};
pub(crate) use suppose::run as suppose;
pub(crate) use trial::run as test;

#[cfg(test)]
mod tests;
