use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::client::status;
use crate::upstream::Upstream;
use crate::world::{World, certificate};

/// PEM of DER, as configurations hold it.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// An upstream behind TLS as `inner.test`, which may ask for the client certificate `client`.
pub(crate) async fn tls_upstream(
    server: &portcullis_config::Certificate,
    client: Option<&portcullis_config::Certificate>,
    alpn: &[&[u8]],
) -> Upstream {
    let builder = ServerConfig::builder();
    let builder = match client {
        Some(client) => {
            let mut roots = RootCertStore::empty();
            roots.add(client.chain[0].clone()).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(server.chain.clone(), server.key.clone_key()).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::at(listener.local_addr().unwrap());
    let own = upstream.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, own) = (acceptor.clone(), own.clone());
            own.checks.send_modify(|connections| *connections += 1);
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(socket).await {
                    own.serve(stream).await;
                }
            });
        }
    });
    upstream
}

async fn through(routes: &str) -> (World, String) {
    let world = World::with(routes, "").await;
    let answer = world.get("open.test", "/", "").await;
    (world, answer)
}

fn der<'a>(key: &'a PrivateKeyDer<'static>) -> &'a [u8] {
    key.secret_der()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_upstreams_are_verified_against_the_routes_own_ca() {
    let (right, wrong, own) =
        (certificate(&["inner.test"]), certificate(&["inner.test"]), certificate(&["portcullis"]));
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let ca = file("ca.pem", &pem("CERTIFICATE", &right.chain[0]));
    let other = file("other.pem", &pem("CERTIFICATE", &wrong.chain[0]));
    let own_certificate = file("own.pem", &pem("CERTIFICATE", &own.chain[0]));
    let own_key = file("own.key", &pem("PRIVATE KEY", der(&own.key)));
    let plain = tls_upstream(&right, None, &[b"h2", b"http/1.1"]).await;
    let old = tls_upstream(&right, None, &[b"http/1.1"]).await;
    let mutual = tls_upstream(&right, Some(&own), &[b"h2", b"http/1.1"]).await;
    let route = |upstream: &Upstream, keys: &str| {
        format!(
            "\n  - {{name: open, from: https://open.test, to: https://{}, allow_public_unauthenticated_access: true, {keys}}}",
            upstream.address
        )
    };
    let named = "tls_upstream_server_name: inner.test";
    let client = format!("tls_client_cert_file: {own_certificate}, tls_client_key_file: {own_key}");
    let cases = [
        ("own CA, h2", &plain, format!("{named}, tls_custom_ca_file: {ca}"), 200),
        ("own CA, h1", &old, format!("{named}, tls_custom_ca_file: {ca}"), 200),
        ("another CA", &plain, format!("{named}, tls_custom_ca_file: {other}"), 502),
        ("the system's roots", &plain, named.to_owned(), 502),
        ("another name", &plain, format!("tls_upstream_server_name: outer.test, tls_custom_ca_file: {ca}"), 502),
        ("unverified", &plain, "tls_skip_verify: true".to_owned(), 200),
        ("client certificate", &mutual, format!("{named}, tls_custom_ca_file: {ca}, {client}"), 200),
        ("no client certificate", &mutual, format!("{named}, tls_custom_ca_file: {ca}"), 502),
    ];
    for (case, upstream, keys, expected) in cases {
        let before = upstream.count();
        let (_, answer) = through(&route(upstream, &keys)).await;
        assert_eq!(status(&answer), expected, "{case}: {answer}");
        assert_eq!(upstream.count() > before, expected == 200, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_not_shared_between_routes_that_verify_differently() {
    let server = certificate(&["inner.test"]);
    let upstream = tls_upstream(&server, None, &[b"h2", b"http/1.1"]).await;
    let routes = format!(
        "\n  - {{name: lax, from: https://open.test, to: https://{0}, allow_public_unauthenticated_access: true, tls_upstream_server_name: inner.test, tls_skip_verify: true}}\n  - {{name: strict, from: https://other.test, to: https://{0}, allow_public_unauthenticated_access: true, tls_upstream_server_name: inner.test}}",
        upstream.address
    );
    let world = World::with(&routes, "").await;
    assert_eq!(status(&world.get("open.test", "/", "").await), 200);
    assert_eq!(status(&world.get("other.test", "/", "").await), 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_upstream_is_left_for_a_live_one_and_alone_is_a_502() {
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let routes = format!(
        "\n  - {{name: open, from: https://open.test, to: ['http://{dead}', 'http://UP'], allow_public_unauthenticated_access: true}}\n  - {{name: dead, from: https://other.test, to: http://{dead}, allow_public_unauthenticated_access: true}}"
    );
    let world = World::with(&routes, "").await;
    for _ in 0..10 {
        assert_eq!(status(&world.get("open.test", "/", "").await), 200);
    }
    let post = "POST / HTTP/1.1\r\nHost: open.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert_eq!(status(&world.raw("open.test", post).await), 200, "nothing was sent to the dead one");
    let before = world.metric("portcullis_proxy_upstream_retries_total");
    assert_eq!(status(&world.get("other.test", "/", "").await), 502);
    assert!(world.metric("portcullis_proxy_upstream_retries_total") <= before + 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_resolve_beside_the_requests() {
    let world = World::with("\n  - {name: open, from: https://open.test, to: 'http://localhost:PORT', allow_public_unauthenticated_access: true}\n  - {name: never, from: https://other.test, to: 'http://nowhere.invalid', allow_public_unauthenticated_access: true}".replace("PORT", "1").as_str(), "").await;
    let port = world.upstream.address.port();
    let routes = format!(
        "\n  - {{name: open, from: https://open.test, to: 'http://localhost:{port}', allow_public_unauthenticated_access: true}}"
    );
    assert_eq!(status(&world.get("other.test", "/", "").await), 502);
    world.publish(&routes, "");
    assert_eq!(status(&world.get("open.test", "/", "").await), 200);
}
