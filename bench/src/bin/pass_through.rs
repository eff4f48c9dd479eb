//! The yardstick's baseline: the least a proxy on the same engine can do. Same Pingora, same allocator, same TLS
//! provider, same listener buffers and windows, no decision. `pass_through LISTEN CERT KEY ORIGIN [PLAIN SOCKET UNARY]`:
//! it listens for TLS, and with the last three in the clear too, with upstreams of their own for WebSockets and gRPC.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::prelude::{HttpPeer, Server};
use pingora_core::listeners::tls::TlsSettings;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::http::v2::server::default_h2_options;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

/// Bytes that a client may send ahead over HTTP/2: of a body, and of all bodies of a connection.
const H2_STREAM_WINDOW: u32 = 128 * 1024;
const H2_CONNECTION_WINDOW: u32 = 512 * 1024;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct PassThrough {
    origin: HttpPeer,
    socket: HttpPeer,
    unary: HttpPeer,
}

#[async_trait]
impl ProxyHttp for PassThrough {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    // The default adds a compressor to every request; the proxy under test has none either.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn upstream_peer(&self, session: &mut Session, _ctx: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        let peer = match session.req_header().uri.path() {
            "/socket" => &self.socket,
            path if path.starts_with("/bench.") => &self.unary,
            _ => &self.origin,
        };
        Ok(Box::new(peer.clone()))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_installed| "a TLS provider is installed already")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, certificate, key, origin, more @ ..] = arguments.as_slice() else {
        return Err("pass_through LISTEN CERT KEY ORIGIN [PLAIN SOCKET UNARY]".into());
    };
    let (plain, socket, unary) = match more {
        [] => (None, origin, origin),
        [plain, socket, unary] => (Some(plain), socket, unary),
        _ => return Err("PLAIN, SOCKET and UNARY go together".into()),
    };
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 1024,
        // The load is over when it is asked to end.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let peer = |address: &String| HttpPeer::new(address.as_str(), false, String::new());
    let mut app = PassThrough { origin: peer(origin), socket: peer(socket), unary: peer(unary) };
    app.unary.options.set_http_version(2, 2);
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), app);
    let mut h2 = default_h2_options();
    h2.initial_window_size(H2_STREAM_WINDOW);
    h2.initial_connection_window_size(H2_CONNECTION_WINDOW);
    service.app_logic_mut().ok_or("the service has no application")?.h2_options = Some(h2);
    let mut tls = TlsSettings::intermediate(certificate, key)?;
    tls.enable_h2();
    service.add_tls_with_settings(listen, None, tls);
    if let Some(plain) = plain {
        service.add_tcp(plain);
    }
    server.add_service(service);
    server.run_forever();
}
