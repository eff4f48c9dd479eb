//! The load comparison's parts: systems under test, generator, accounting, statistics.

pub mod cpu;
pub mod edge;
pub mod generator;
pub mod statistics;
pub mod system;
