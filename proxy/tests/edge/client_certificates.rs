//! Client certificates over real handshakes: none, valid and not, each beside its twin; what resumption keeps and
//! what a reload changes.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use portcullis_identity::Clock as _;
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{Tls, read_all, read_answer, read_until, status};
use crate::pki::{Identity, Root};
use crate::world::World;

const OPEN: &str = "
  - {name: open, from: https://open.test, to: http://UP, allow_public_unauthenticated_access: true}
  - {name: wiki, from: https://wiki.test, to: http://UP, allow_any_authenticated_user: true}
";

const H1: &[&[u8]] = &[b"http/1.1"];

impl World {
    fn client(&self, identity: Option<&Identity>, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut config = self.tls_config(alpn);
        if let Some(identity) = identity {
            config.client_auth_cert_resolver = Arc::new(identity.clone());
        }
        Arc::new(config)
    }

    /// One request on a connection of its own. With TLS 1.3 a refused handshake shows only when the client reads: then
    /// the answer is empty.
    async fn ask(&self, client: &Arc<ClientConfig>, host: &str, path: &str) -> (String, Option<HandshakeKind>) {
        let Ok(mut stream) = self.shake(client, host).await else { return (String::new(), None) };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
        drop(stream.write_all(request.as_bytes()).await);
        let answer = read_all(&mut stream).await;
        (answer, stream.get_ref().1.handshake_kind())
    }

    async fn shake(&self, client: &Arc<ClientConfig>, host: &str) -> std::io::Result<Tls> {
        let socket = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        TlsConnector::from(Arc::clone(client)).connect(name, socket).await
    }

    /// The status of one request with this certificate, and why.
    async fn judged(&self, host: &str, identity: Option<&Identity>) -> (u16, String) {
        let (answer, _) = self.ask(&self.client(identity, H1), host, "/").await;
        let kind = answer.split_once("urn:portcullis:problem:").map(|(_, kind)| kind);
        let kind = kind.and_then(|kind| kind.split('"').next()).unwrap_or_default().to_owned();
        (status(&answer), kind)
    }
}

async fn again(stream: &mut Tls, host: &str) -> u16 {
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    status(&read_answer(stream).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_valid_certificate_is_denied_and_told_why() {
    let (ours, theirs) = (Root::new("ours"), Root::new("theirs"));
    let world = World::with(OPEN, &ours.section(&ours.revokes(9))).await;
    for (identity, expected, why) in [
        (Some(ours.client(7)), 200, ""),
        (None, 495, "client-certificate-missing"),
        (Some(theirs.client(7)), 495, "client-certificate-not-accepted"),
        (Some(Identity::self_signed()), 495, "client-certificate-not-accepted"),
        (Some(ours.client_until(7, 2021)), 495, "client-certificate-expired"),
        (Some(ours.client(9)), 495, "client-certificate-revoked"),
    ] {
        let before = world.upstream.count();
        assert_eq!(world.judged("open.test", identity.as_ref()).await, (expected, why.to_owned()));
        assert_eq!(world.upstream.count() - before, usize::from(expected == 200), "{why}");
    }
    // No sign-in would help: nobody is sent to one before the certificate is there.
    assert_eq!(world.judged("wiki.test", None).await.0, 495);
    assert_eq!(world.judged("wiki.test", Some(&ours.client(7))).await, (401, "sign-in-required".to_owned()));
    // Our own paths are no route.
    assert_eq!(status(&world.ask(&world.client(None, H1), "open.test", "/ping").await.0), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_its_key_gets_no_connection() {
    let ours = Root::new("ours");
    let world = World::with(OPEN, &ours.section("")).await;
    let owner = ours.client(7);
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        for (identity, expected) in [(owner.clone(), true), (owner.stolen(), false)] {
            let mut client = ClientConfig::builder_with_protocol_versions(versions)
                .with_root_certificates(Arc::new({
                    let mut roots = rustls::RootCertStore::empty();
                    roots.add(world.root.clone()).unwrap();
                    roots
                }))
                .with_client_cert_resolver(Arc::new(identity));
            client.alpn_protocols = vec![b"http/1.1".to_vec()];
            let (answer, _) = world.ask(&Arc::new(client), "open.test", "/").await;
            assert_eq!(answer.starts_with("HTTP/1.1 200"), expected, "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_read_fingerprints_and_names() {
    let (ours, pinned) = (Root::new("ours"), Identity::self_signed());
    let routes = format!(
        "
  - {{name: pin, from: https://open.test, to: http://UP, policy: {{allow: {{and: [{{client_certificate: {{fingerprint: {}}}}}]}}}}}}
  - {{name: san, from: https://wiki.test, to: http://UP, policy: {{allow: {{and: [{{client_certificate: {{san_dns: laptop.corp.test}}}}]}}}}}}
  - {{name: any, from: https://other.test, to: http://UP, allow_public_unauthenticated_access: true}}
",
        pinned.fingerprint()
    );
    let world = World::with(&routes, &ours.section("enforcement: policy")).await;
    for (host, identity, expected) in [
        ("open.test", Some(&pinned), 200),
        ("open.test", Some(&ours.client(7)), 403),
        ("open.test", None, 403),
        ("wiki.test", Some(&ours.client(7)), 200),
        // Whoever makes a certificate chooses its names.
        ("wiki.test", Some(&pinned), 403),
        ("other.test", None, 200),
    ] {
        assert_eq!(world.judged(host, identity).await.0, expected, "{host} {identity:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_are_told_the_certificate_and_only_a_valid_one_s_names() {
    let ours = Root::new("ours");
    let routes = "
  - from: https://open.test
    to: http://UP
    allow_public_unauthenticated_access: true
    set_request_headers:
      X-Cert: ${pomerium.client_cert_fingerprint}
      X-Names: ${pomerium.client_cert_san_dns}
";
    let world = World::with(routes, &ours.section("enforcement: policy")).await;
    let (known, strange) = (ours.client(7), Identity::self_signed());
    for (identity, fingerprint, names) in [
        (Some(&known), known.fingerprint(), "laptop.corp.test"),
        (Some(&strange), strange.fingerprint(), ""),
        (None, String::new(), ""),
    ] {
        assert_eq!(world.judged("open.test", identity).await.0, 200);
        let seen = world.upstream.last();
        assert_eq!(seen.header("x-cert").unwrap_or_default(), fingerprint);
        assert_eq!(seen.header("x-names").unwrap_or_default(), names);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_only_hosts_that_ask_alike() {
    let ours = Root::new("ours");
    let routes = format!(
        "{OPEN}  - {{name: other, from: https://other.test, to: http://UP, allow_public_unauthenticated_access: true, tls_downstream_client_ca: {}}}\n",
        ours.quoted()
    );
    let world = World::with(&routes, "").await;
    let owner = ours.client(7);
    assert_eq!(world.judged("other.test", Some(&owner)).await.0, 200);
    assert_eq!(world.judged("other.test", None).await.0, 495);
    assert_eq!(world.judged("open.test", None).await.0, 200);
    for (made_for, asked, expected) in [
        ("open.test", "other.test", 421),
        ("other.test", "open.test", 421),
        ("open.test", "wiki.test", 401),
        ("other.test", "other.test", 200),
    ] {
        let mut stream = world.shake(&world.client(Some(&owner), H1), made_for).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {asked}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(status(&read_all(&mut stream).await), expected, "h1 {made_for} {asked}");
        let stream = world.shake(&world.client(Some(&owner), &[b"h2"]), made_for).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut send = send.ready().await.unwrap();
        let request = Request::get(format!("https://{asked}/")).body(()).unwrap();
        let answer = send.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "h2 {made_for} {asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resumption_keeps_the_certificate_and_judges_it_again() {
    let ours = Root::new("ours");
    let world = World::with(OPEN, &ours.section("")).await;
    let client = world.client(Some(&ours.client_until(7, 2024)), H1);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let (answer, shaken) = world.ask(&client, "open.test", "/").await;
        assert_eq!((status(&answer), shaken), (200, Some(kind)));
    }
    // The last minute of the certificate's time, in which a ticket is made, and the first after it.
    let midnight = 1_704_067_200 - world.clock.now().unix_seconds();
    world.clock.advance(Duration::from_secs(u64::try_from(midnight - 60).unwrap()));
    let (answer, _) = world.ask(&client, "open.test", "/").await;
    assert_eq!(status(&answer), 200);
    world.clock.advance(Duration::from_secs(120));
    let (answer, shaken) = world.ask(&client, "open.test", "/").await;
    assert_eq!((status(&answer), shaken), (495, Some(HandshakeKind::Resumed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_do_not_outlive_what_was_asked_for() {
    let (ours, theirs) = (Root::new("ours"), Root::new("theirs"));
    let world = World::with(OPEN, "").await;
    let client = world.client(Some(&ours.client(7)), H1);
    for (section, expected) in [
        (String::new(), 200),
        // The ticket of a time when nobody was asked would hide the certificate.
        (ours.section(""), 200),
        (ours.section(&ours.revokes(7)), 495),
        (ours.section(&ours.revokes(8)), 200),
        (theirs.section(""), 495),
    ] {
        world.publish(OPEN, &section);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (answer, shaken) = world.ask(&client, "open.test", "/").await;
            assert_eq!((status(&answer), shaken), (expected, Some(kind)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_counts_on_open_connections_and_streams() {
    let ours = Root::new("ours");
    let world = World::with(OPEN, &ours.section("")).await;
    let (revoked, kept) = (world.client(Some(&ours.client(7)), H1), world.client(Some(&ours.client(8)), H1));
    let mut first = world.shake(&revoked, "open.test").await.unwrap();
    let mut other = world.shake(&kept, "open.test").await.unwrap();
    assert_eq!((again(&mut first, "open.test").await, again(&mut other, "open.test").await), (200, 200));
    let mut stream = world.shake(&revoked, "open.test").await.unwrap();
    stream.write_all(b"GET /sse HTTP/1.1\r\nHost: open.test\r\nAccept: text/event-stream\r\n\r\n").await.unwrap();
    read_until(&mut stream, "text/event-stream").await;
    world.publish(OPEN, &ours.section(&ours.revokes(7)));
    read_all(&mut stream).await;
    assert_eq!((again(&mut first, "open.test").await, again(&mut other, "open.test").await), (495, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_rejected_where_the_file_says_so() {
    let (ours, theirs) = (Root::new("ours"), Root::new("theirs"));
    let section = ours.section(&format!("enforcement: reject_connection\n{}", ours.revokes(9)));
    let world = World::with(OPEN, &section).await;
    for (identity, served) in [
        (Some(ours.client(7)), true),
        (None, false),
        (Some(theirs.client(7)), false),
        (Some(ours.client(9)), false),
        (Some(ours.client_until(7, 2021)), false),
    ] {
        let client = world.client(identity.as_ref(), H1);
        let (answer, _) = world.ask(&client, "open.test", "/").await;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), served, "{identity:?}: {answer}");
        assert_eq!(answer.is_empty(), !served);
    }
    assert_eq!(world.metric("portcullis_proxy_handshakes_failed_total{cause=\"tls\"}"), 4.0);
    // A resumed handshake is none the easier: the certificate's time is over meanwhile.
    let client = world.client(Some(&ours.client_until(7, 2024)), H1);
    let midnight = 1_704_067_200 - world.clock.now().unix_seconds();
    world.clock.advance(Duration::from_secs(u64::try_from(midnight - 60).unwrap()));
    assert_eq!(status(&world.ask(&client, "open.test", "/").await.0), 200);
    world.clock.advance(Duration::from_secs(120));
    let (answer, kind) = world.ask(&client, "open.test", "/").await;
    assert_eq!((answer.as_str(), kind), ("", Some(HandshakeKind::Resumed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_names_no_host_gets_no_connection_whatever_it_shows() {
    let ours = Root::new("ours");
    let owner = ours.client(7);
    for (section, served_without) in [(ours.section("enforcement: reject_connection"), false), (String::new(), true)] {
        let world = World::with(OPEN, &section).await;
        for (identity, named, served) in [
            (Some(&owner), true, true),
            (None, true, served_without),
            // Nobody knows what that host would ask, nor which certificate of ours to show.
            (Some(&owner), false, false),
            (None, false, false),
        ] {
            let mut client = ClientConfig::clone(&world.client(identity, H1));
            client.enable_sni = named;
            let (answer, _) = world.ask(&Arc::new(client), "open.test", "/").await;
            assert_eq!(answer.starts_with("HTTP/1.1 200"), served, "{section} {named}: {answer}");
            assert_eq!(answer.is_empty(), !served, "{section} {named}: {answer}");
        }
        assert_eq!(world.upstream.count(), 1 + usize::from(served_without));
    }
}
