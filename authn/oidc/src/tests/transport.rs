//! How calls travel: private roots, egress proxies.

use std::sync::Arc;

use portcullis_identity::Needs;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::{Pair, proof, request};
use crate::{CallError, DiscoveryError};

/// Reads one request and answers it with 500; gives back its first line.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    stream.write_all(b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n").await.ok()?;
    Some(String::from_utf8(head).unwrap().lines().next().unwrap().to_owned())
}

async fn url(pair: &Pair) -> Result<Url, DiscoveryError> {
    pair.party.authorization_url(request(&proof(1), &proof(2), &Needs::default())).await
}

#[tokio::test]
async fn a_private_root_is_believed_where_it_is_configured() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let served = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(served));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = Url::parse(&format!("https://localhost:{}", listener.local_addr().unwrap().port())).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream).await;
            }
        }
    });
    let trusting = Pair::with(|provider| {
        provider.issuer = issuer.clone();
        provider.transport.ca = vec![made.cert.der().clone()];
    })
    .await;
    assert!(matches!(url(&trusting).await, Err(DiscoveryError::Status { status: 500, .. })));
    let stranger = Pair::with(|provider| provider.issuer = issuer.clone()).await;
    let refused = url(&stranger).await;
    assert!(matches!(refused, Err(DiscoveryError::Call { source: CallError::Unreachable(_), .. })));
}

#[tokio::test]
async fn calls_go_through_the_egress_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let proxied = tokio::spawn(async move { answer(listener.accept().await.unwrap().0).await });
    let pair = Pair::with(|provider| provider.transport.egress_proxy = Some(proxy)).await;
    assert!(matches!(url(&pair).await, Err(DiscoveryError::Status { status: 500, .. })));
    let line = proxied.await.unwrap().unwrap();
    assert_eq!(line, format!("GET {}/.well-known/openid-configuration HTTP/1.1", pair.provider.issuer()));
    assert!(pair.provider.seen("/.well-known/openid-configuration").is_empty());
}
