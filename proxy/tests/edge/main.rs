//! The proxy over real sockets: a TLS client in front, an upstream behind, sessions of the test's own.

#[cfg(test)]
mod carried;
#[cfg(test)]
mod client;
#[cfg(test)]
mod client_certificates;
#[cfg(test)]
mod deadlines;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod forwarding;
#[cfg(test)]
mod health;
#[cfg(test)]
mod hygiene;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod multiplexed;
#[cfg(test)]
mod pki;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod records;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod upstreams;
#[cfg(test)]
mod world;
