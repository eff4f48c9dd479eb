//! The decision by itself: subjects, policies, route tables and replicas of the sizes that the promises name.
//!
//! `benches/decision.rs` takes their time (`make bench-micro`), `tests/instructions.rs` counts their instructions
//! under callgrind (`make test`). Nothing here listens, and nothing needs the proxy's engine.
//!
//! ```
//! use portcullis_micro::{policies, requests::{Kind, Scene}};
//! let subject = policies::subject();
//! let decision = policies::compiled(policies::TEN).decide(&policies::facts(Some(&subject)));
//! assert_eq!(decision.effect, portcullis_policy::Effect::Permit);
//! let scene = Scene::new(Kind::Prefix, 10, 10);
//! assert!(scene.passes(3));
//! ```

#![expect(clippy::expect_used, reason = "a yardstick says what is wrong with its own material by panicking")]

pub mod policies;
pub mod requests;

#[path = "../../../authz/gate/src/sample.rs"]
#[expect(dead_code, clippy::indexing_slicing, reason = "the samples of the gate's tests, of which some are used here")]
mod sample;
