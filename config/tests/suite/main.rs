//! Configurations as their authors write them: what is refused and where, what is made of the rest, and what
//! is read from files.

mod accepted;
mod examples;
mod files;
mod refused;
mod routes;
mod scene;
mod schema;
mod warned;
