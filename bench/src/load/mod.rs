//! The load comparison's parts: systems under test, generators, accounting, statistics, report.

pub mod apache;
pub mod contest;
pub mod cpu;
pub mod edge;
pub mod entrant;
pub mod envoy;
pub mod generator;
pub mod haproxy;
pub mod honest;
pub mod latency;
pub mod machine;
pub mod nginx;
pub mod oauth2_proxy;
pub mod report;
pub mod roster;
pub mod rows;
pub mod statistics;
pub mod system;
