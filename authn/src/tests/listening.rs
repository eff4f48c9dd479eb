//! Who may connect.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_identity::{Clock, SystemClock};
use portcullis_keys::{KeyRing, ServiceRole};
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::House;

async fn ping(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Option<u16> {
    let http = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::get("http://auth.corp.test/ping").body(Full::new(Bytes::new())).unwrap();
    sender.send_request(request).await.ok().map(|answer| answer.status().as_u16())
}

#[tokio::test]
async fn a_process_of_our_own_user_is_served_over_the_socket_until_the_stop() {
    let house = House::new().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("authn.sock");
    let (listener, stop) = (UnixListener::bind(&socket).unwrap(), CancellationToken::new());
    let serving = tokio::spawn({
        let (authn, stop) = (house.authn.clone(), stop.clone());
        async move { authn.serve_unix(listener, stop).await }
    });
    assert_eq!(ping(UnixStream::connect(&socket).await.unwrap()).await, Some(200));
    stop.cancel();
    serving.await.unwrap().unwrap();
    assert!(UnixStream::connect(&socket).await.is_err());
}

fn tls(ring: &KeyRing, role: ServiceRole) -> (Arc<arc_swap::ArcSwap<ServerConfig>>, Arc<ClientConfig>) {
    // Certificates are made for the present: rustls reads the machine's clock itself.
    let own = ring.service_certificate(role, SystemClock.now()).unwrap();
    let server = ring.service_certificate(ServiceRole::Authn, SystemClock.now()).unwrap();
    let mut roots = RootCertStore::empty();
    for certificate in &own.anchors {
        roots.add(certificate.clone()).unwrap();
    }
    let roots = Arc::new(roots);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build().unwrap();
    let mut served = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.certificate.clone()], server.key.clone_key().into())
        .unwrap();
    served.alpn_protocols = vec![b"h2".to_vec()];
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut client = client.with_client_auth_cert(vec![own.certificate.clone()], own.key.clone_key().into()).unwrap();
    client.alpn_protocols = vec![b"h2".to_vec()];
    (Arc::new(arc_swap::ArcSwap::from_pointee(served)), Arc::new(client))
}

#[tokio::test]
async fn over_tls_only_a_proxy_comes_in() {
    let house = House::new().await;
    let outcome = async |role| {
        let (served, client) = tls(&house.keys, role);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let (authn, stop) = (house.authn.clone(), stop.clone());
            async move { authn.serve_tls(listener, served, stop).await }
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(ServiceRole::Authn.server_name()).unwrap();
        let answer = match tokio_rustls::TlsConnector::from(client).connect(name, stream).await {
            Ok(stream) => ping(stream).await,
            Err(_refused) => None,
        };
        stop.cancel();
        serving.await.unwrap();
        answer
    };
    assert_eq!(outcome(ServiceRole::Proxy).await, Some(200));
    assert_eq!(outcome(ServiceRole::Broker).await, None);
    assert_eq!(outcome(ServiceRole::Authn).await, None);
}
