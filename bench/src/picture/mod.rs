//! Pictures of the yardstick's JSON: one SVG per family, drawn by hand, readable on light and dark ground.

pub mod bars;
pub mod canvas;
pub mod curves;
pub mod latency;
pub mod ratios;
pub mod values;
