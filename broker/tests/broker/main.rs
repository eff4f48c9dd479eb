//! The broker and its clients together, over real sockets.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod house;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod services;
#[cfg(test)]
mod streams;
