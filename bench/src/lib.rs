//! The yardstick: Portcullis beside a bare pass-through on the same engine and beside its peers, measured as CPU time
//! per request in interleaved pairs. The whole-edge tests in `tests/` use the real binary too.
//!
//! ```
//! use portcullis_bench::load::statistics::Estimate;
//! let ratio = Estimate::of(vec![0.91, 0.93, 0.92, 0.94, 0.90]).expect("five samples");
//! assert_eq!(ratio.median, 0.92);
//! ```

pub mod drive;
pub mod growth;
pub mod load;
pub mod options;
pub mod picture;
pub mod scale;
pub mod series;
pub mod site;
