//! The proxy over real sockets: a TLS client in front, an upstream behind, sessions of the test's own.

mod client;
mod forwarding;
mod hygiene;
mod limits;
mod revocation;
mod sessions;
mod sign_in;
mod streams;
mod upstream;
mod upstreams;
mod world;
