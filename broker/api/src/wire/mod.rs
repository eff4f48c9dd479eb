//! The generated wire types and their conversions: for this crate and the broker, nobody else.

mod convert;
mod derived;
mod records;
mod redact;

/// What prost and tonic make of `proto/broker.proto`; `tests/generated.rs` keeps it fresh.
#[rustfmt::skip]
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    unused_qualifications,
    reason = "generated code brings its own, and is shaped as its generator likes"
)]
pub mod generated;

pub use convert::{
    WireError, check_facts, create_request, end_reason, end_request, end_selector, ended, ended_message, id, key,
    new_session, profile_message, reason_message, secret, session, session_message, tokens, tokens_message,
};
pub use derived::derive_request;
pub(crate) use derived::derived;
pub(crate) use records::read_record;
pub use records::{record, record_key, record_key_message, record_message};

#[cfg(test)]
mod tests;
