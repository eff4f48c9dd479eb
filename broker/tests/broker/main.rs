//! The broker and its clients together, over real sockets.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod derived;
#[cfg(test)]
mod dormant;
#[cfg(test)]
mod house;
#[cfg(test)]
#[path = "../../../authn/oidc/src/tests/provider.rs"]
#[expect(dead_code, reason = "others use the rest")]
mod provider;
#[cfg(test)]
mod records;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod services;
#[cfg(test)]
mod standing;
#[cfg(test)]
mod streams;
