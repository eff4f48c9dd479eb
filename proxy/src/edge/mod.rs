//! The edge: accepts connections, shakes hands, and hands requests to Pingora one exchange at a time.

mod accept;
mod caps;
mod connection;
mod redirect;
mod serve;

pub(crate) use accept::Gatekeeper;
pub(crate) use caps::prefix_of;
pub(crate) use connection::{Connection, Peer, buffered};
pub(crate) use redirect::serve as serve_redirects;
pub(crate) use serve::{Edge, adopt};
