//! Who may connect.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_broker_api::ServerTls;
use portcullis_identity::{Clock, SystemClock};
use portcullis_keys::{KeyRing, ServiceRole, SystemRandom};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
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

/// The service's settings under `ring`.
fn served(ring: &KeyRing) -> Arc<ServerTls> {
    // Certificates are made for the present: rustls reads the machine's clock itself.
    let server = ring.service_certificate(ServiceRole::Authn, SystemClock.now()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = Arc::new(roots(&server.anchors));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().unwrap();
    let mut served = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::clone(&verifier))
        .with_single_cert(vec![server.certificate.clone()], server.private_key())
        .unwrap();
    served.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(ServerTls::new(Arc::new(served), verifier))
}

/// How `role` dials whose certificate is of `ring`, believing the roots of `believed`.
fn dialler(ring: &KeyRing, role: ServiceRole, believed: &KeyRing) -> TlsConnector {
    let own = ring.service_certificate(role, SystemClock.now()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots(&believed.internal_ca().unwrap().certificates()))
        .with_client_auth_cert(vec![own.certificate.clone()], own.private_key())
        .unwrap();
    client.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(client))
}

fn roots(anchors: &[CertificateDer<'static>]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    anchors.iter().for_each(|anchor| roots.add(anchor.clone()).unwrap());
    roots
}

fn name() -> ServerName<'static> {
    ServerName::try_from(ServiceRole::Authn.server_name()).unwrap()
}

#[tokio::test]
async fn over_tls_only_a_proxy_comes_in() {
    let house = House::new().await;
    let outcome = async |role| {
        let (_settings, served) = watch::channel(served(&house.keys));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let (authn, stop) = (house.authn.clone(), stop.clone());
            async move { authn.serve_tls(listener, served, stop).await }
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let answer = match dialler(&house.keys, role, &house.keys).connect(name(), stream).await {
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

#[tokio::test]
async fn a_connection_of_a_removed_key_is_cut_and_one_of_a_kept_key_stands() {
    let house = House::new().await;
    let [old, new] = [KeyRing::generate(&SystemRandom).1, KeyRing::generate(&SystemRandom).1];
    let ring = |text: &str| KeyRing::parse(text).unwrap();
    let both = ring(&format!("{old}\n{new}"));
    let (settings, followed) = watch::channel(served(&both));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let serving = tokio::spawn({
        let (authn, stop) = (house.authn.clone(), stop.clone());
        async move { authn.serve_tls(listener, followed, stop).await }
    });
    let standing = async |text: &str| {
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = dialler(&ring(text), ServiceRole::Proxy, &both).connect(name(), stream).await.unwrap();
        let http = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = http.handshake(TokioIo::new(stream)).await.unwrap();
        (sender, tokio::spawn(connection))
    };
    let asked = async |sender: &mut SendRequest<Full<Bytes>>| {
        let request = Request::get("http://auth.corp.test/ping").body(Full::new(Bytes::new())).unwrap();
        sender.send_request(request).await.ok().map(|answer| answer.status().as_u16())
    };
    let ((mut removed, ended), (mut kept, _connection)) = (standing(&old).await, standing(&new).await);
    assert_eq!((asked(&mut removed).await, asked(&mut kept).await), (Some(200), Some(200)));
    settings.send_replace(served(&ring(&new)));
    drop(ended.await.unwrap());
    assert_eq!((asked(&mut removed).await, asked(&mut kept).await), (None, Some(200)));
    stop.cancel();
    drop((removed, kept));
    serving.await.unwrap();
}
