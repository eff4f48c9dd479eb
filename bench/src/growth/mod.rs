//! What grows with routes, sessions and connections, and how much.

pub mod connections;
mod load;
pub mod routes;
pub mod sessions;
