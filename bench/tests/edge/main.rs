//! Whole-edge scenarios: the real binary as a child process, the demonstration's provider and applications in this one.
//!
//! The binary is the one beside this test's own folder (`target/debug/portcullis`), or `PORTCULLIS_BIN`.

#[cfg(test)]
mod canary;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod edge;
#[cfg(test)]
mod events;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod load;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod records;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod split;
#[cfg(test)]
mod tour;
#[cfg(test)]
mod uploads;
