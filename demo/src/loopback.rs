//! Names below `localhost` without asking anybody (RFC 6761 6.3): not every machine's resolver knows them.

use std::io;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Takes every name below `localhost` for 127.0.0.1 and knows no other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, name: Name) -> Resolving {
        let local = name.as_str() == "localhost" || name.as_str().ends_with(".localhost");
        Box::pin(async move {
            if !local {
                return Err(io::Error::new(io::ErrorKind::NotFound, "not a loopback name").into());
            }
            // The port is that of the URL.
            let addresses: Addrs = Box::new(std::iter::once(SocketAddr::from(([127, 0, 0, 1], 0))));
            Ok(addresses)
        })
    }
}
