//! Another key ring under a running proxy: what each step of a rotation believes and what it makes.

use std::sync::Arc;

use portcullis_keys::{CredentialKind, Handle, KeyRing, ServiceRole, SystemRandom};
use rustls::HandshakeKind;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{read_answer, status};
use crate::sessions::session;
use crate::world::{NOW, ROUTES, World};

/// The line of a new secret.
fn line() -> String {
    let (_, text) = KeyRing::generate(&SystemRandom);
    text.lines().last().unwrap().to_owned()
}

fn ring(lines: &[&str]) -> Arc<KeyRing> {
    Arc::new(KeyRing::parse(&format!("{}\n", lines.join("\n"))).unwrap())
}

/// A cookie that the first key of `ring` makes for a live session.
fn cookie(world: &World, ring: &KeyRing) -> String {
    let handle = Handle::random(&SystemRandom);
    world.sessions.put(session(handle.key(), "alice@corp.test", NOW));
    let credential = ring.credential().unwrap().mint(CredentialKind::Session, &handle, "wiki.test");
    format!("Cookie: __Host-portcullis={credential}\r\n")
}

async fn published_keys(world: &World) -> usize {
    world.get("wiki.test", "/.well-known/portcullis/jwks.json", "").await.matches("\"kid\"").count()
}

/// The `kid` of the assertion that an upstream gets.
async fn signed_by(world: &World, cookie: &str) -> String {
    use base64::Engine as _;
    assert_eq!(status(&world.get("wiki.test", "/", cookie).await), 200);
    let assertion = world.upstream.last().header("x-portcullis-jwt-assertion").unwrap();
    let head = assertion.split('.').next().unwrap();
    let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head).unwrap();
    serde_json::from_slice::<serde_json::Value>(&head).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_believed_from_its_first_step_to_its_last_and_not_beyond() {
    let world = World::start().await;
    let (old, new) = (line(), line());
    let (only_old, appended) = (ring(&[&old]), ring(&[&old, &new]));
    let (promoted, only_new) = (ring(&[&new, &old]), ring(&[&new]));
    world.publish_keys(&only_old);
    let (by_old, by_new) = (cookie(&world, &only_old), cookie(&world, &only_new));
    let asks = async |cookie: &str| status(&world.get("wiki.test", "/", cookie).await);
    assert_eq!((asks(&by_old).await, asks(&by_new).await, published_keys(&world).await), (200, 401, 1));
    let first = signed_by(&world, &by_old).await;
    world.publish_keys(&appended);
    assert_eq!((asks(&by_old).await, asks(&by_new).await, published_keys(&world).await), (200, 200, 2));
    assert_eq!(signed_by(&world, &by_old).await, first, "appended, not yet used");
    world.publish_keys(&promoted);
    assert_eq!((asks(&by_old).await, asks(&by_new).await, published_keys(&world).await), (200, 200, 2));
    let second = signed_by(&world, &by_old).await;
    assert_ne!(second, first, "promoted");
    world.publish_keys(&only_new);
    assert_eq!((asks(&by_old).await, asks(&by_new).await, published_keys(&world).await), (401, 200, 1));
    assert_eq!(signed_by(&world, &by_new).await, second);
    // A reload without another ring keeps this one.
    world.publish(ROUTES, "");
    assert_eq!((asks(&by_old).await, asks(&by_new).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_kept_open_gets_the_new_keys_with_its_next_request() {
    let world = World::start().await;
    let (old, new) = (line(), line());
    world.publish_keys(&ring(&[&old, &new]));
    let cookies = [cookie(&world, &ring(&[&old])), cookie(&world, &ring(&[&new]))];
    let mut stream = world.tls("wiki.test").await;
    let mut asks = async |cookie: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: wiki.test\r\nAccept: application/json\r\n{cookie}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        status(&read_answer(&mut stream).await)
    };
    assert_eq!((asks(&cookies[0]).await, asks(&cookies[1]).await), (200, 200));
    world.publish_keys(&ring(&[&new]));
    assert_eq!((asks(&cookies[0]).await, asks(&cookies[1]).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_cannot_be_built_leaves_the_keys_alone() {
    let world = World::start().await;
    let (old, new) = (line(), line());
    world.publish_keys(&ring(&[&old]));
    let by_old = cookie(&world, &ring(&[&old]));
    // Exported for a broker: no key for cookies.
    let (full, _) = KeyRing::generate(&SystemRandom);
    let exported = full.export(&[ServiceRole::Broker], NOW).unwrap();
    let text = KeyRing::parse(&exported).unwrap();
    assert!(world.prepare(ROUTES, "", Some(&Arc::new(text))).is_err());
    assert_eq!(status(&world.get("wiki.test", "/", &by_old).await), 200);
    // Prepared and then given up, as where another service's part fails.
    drop(world.prepare(ROUTES, "", Some(&ring(&[&new]))).unwrap());
    assert_eq!(status(&world.get("wiki.test", "/", &by_old).await), 200);
    world.publish_keys(&ring(&[&new]));
    assert_eq!(status(&world.get("wiki.test", "/", &by_old).await), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_resumes_as_long_as_its_key_is_there() {
    let world = World::start().await;
    let (old, new) = (line(), line());
    world.publish_keys(&ring(&[&old]));
    let connector = TlsConnector::from(Arc::new(world.tls_config(&[b"http/1.1"])));
    let handshake = async || {
        let socket = TcpStream::connect(world.address).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from("open.test").unwrap(), socket).await.unwrap();
        // The answer brings the next ticket.
        stream.write_all(b"GET / HTTP/1.1\r\nHost: open.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        stream.get_ref().1.handshake_kind().unwrap()
    };
    assert_eq!(handshake().await, HandshakeKind::Full);
    assert_eq!(handshake().await, HandshakeKind::Resumed);
    world.publish_keys(&ring(&[&new, &old]));
    assert_eq!(handshake().await, HandshakeKind::Resumed, "the old key opens");
    world.publish_keys(&ring(&[&old]));
    assert_eq!(handshake().await, HandshakeKind::Full, "the new key has made the last ticket, and is gone");
}
