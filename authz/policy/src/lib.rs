//! The policy language and `decide`.
