//! The policy language: YAML text is read into a marked tree, compiled into a [`Program`], and decided.
//!
//! The same program decides in the request, answers `policy eval` and explains afterwards. `decide`
//! takes borrowed facts; it never allocates, locks, waits, panics or reads the clock.
//!
//! ```
//! use portcullis_identity::{Records, Timestamp};
//! use portcullis_policy::{Effect, Facts, Request, compile_policy, yaml};
//!
//! let tree = yaml::parse("allow: {and: [{http_method: GET}]}")?;
//! let compiled = compile_policy(&tree)?;
//! let request = Request { method: "GET", ..Request::default() };
//! let facts = Facts { now: Timestamp::EPOCH, request, subject: None, records: Some(Records::none()) };
//! assert_eq!(compiled.program.decide(&facts).effect, Effect::Permit);
//! # Ok::<(), portcullis_policy::Diagnostic>(())
//! ```

mod certificate;
mod compile;
mod criterion;
mod diagnostic;
mod explain;
mod facts;
mod matcher;
mod network;
mod program;
mod reason;
mod record;
mod schedule;
mod ternary;

pub mod eval;
pub mod yaml;

pub use certificate::{Leaf, LeafError};
pub use compile::{
    ACCESS_KEYS, Compiled, SHADOW_KEY, SharedPolicies, compile_guarded_route, compile_guarded_shadow, compile_policy,
    compile_route, compile_shadow,
};
pub use diagnostic::{Diagnostic, nearest};
pub use explain::{ExplainedCriterion, ExplainedOperator, ExplainedRule, Explanation};
pub use facts::{ClientCertificate, Facts, McpTool, Request};
pub use program::{Action, Decision, Effect, Evaluation, Program, RuleValue};
pub use reason::{Reason, Reasons};
pub use ternary::Ternary;
