//! The load that `h2load` does not make: new connections, WebSocket messages, gRPC calls, requests at a fixed rate.
//! The origin's echo and gRPC service lie here too.

pub mod connections;
pub mod messages;
pub mod order;
pub mod origin;
pub mod paced;
pub mod tally;
pub mod tls;
pub mod unary;
