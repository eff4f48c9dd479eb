//! The broker and its clients together, over real sockets.

mod calls;
mod crash;
mod house;
mod replicas;
mod rest;
mod services;
mod streams;
