//! Who may call, over both kinds of connection.

use std::sync::Arc;

use portcullis_broker_api::{
    BrokerClient, BrokerError, CreateError, Deletion, EndReason, EndSelector, Endpoint, Listing, RecordsError,
    RedeemError, ServerTls,
};
use portcullis_identity::{Clock as _, SystemClock};
use portcullis_keys::ServiceRole;
use portcullis_keys::pki::{InternalCa, ServiceCertificate};
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::house::{DIGEST, House, NOW, key, new_session};

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Permitted,
    Denied,
    Unreachable,
}

fn answer<T>(result: Result<T, BrokerError>) -> Answer {
    match result {
        Ok(_) => Answer::Permitted,
        Err(BrokerError::Denied(_)) => Answer::Denied,
        Err(BrokerError::Unavailable(_)) => Answer::Unreachable,
        Err(error) => panic!("{error:?}"),
    }
}

fn broker_error(error: RecordsError) -> BrokerError {
    match error {
        RecordsError::Broker(error) => error,
        RecordsError::Refused { .. } => panic!("{error:?}"),
    }
}

async fn try_all(client: &BrokerClient) -> [Answer; 14] {
    let create = client.create(new_session("a", NOW)).await.map_err(|error| match error {
        CreateError::Broker(error) => error,
        CreateError::Exists | CreateError::ClaimsTooLarge { .. } => panic!("{error:?}"),
    });
    let redeem = match client.redeem([1; 16], NOW, &key("none")).await {
        Ok(_) | Err(RedeemError::NoSession | RedeemError::AlreadyRedeemed) => Ok(()),
        Err(RedeemError::Unavailable(error)) => Err(error),
    };
    [
        answer(client.hello(DIGEST).await),
        answer(create),
        answer(client.fetch(&key("a")).await),
        answer(redeem),
        answer(client.touch(vec![(key("a"), NOW)]).await),
        answer(client.end(EndSelector::Key(key("a")), EndReason::Revoked).await),
        answer(client.watch(None).await),
        answer(client.access_token(&key("a"), "wiki").await),
        answer(client.push_records(Vec::new(), None).await.map_err(broker_error)),
        answer(client.delete_records("hr", Deletion::All).await.map_err(broker_error)),
        answer(client.list_records(Listing::default()).await.map_err(broker_error)),
        answer(client.watch_records(None).await),
        answer(client.derive(&key("a"), &key("b"), "wiki.corp.test").await),
        answer(client.list_derived(&key("a")).await),
    ]
}

const PROXY: [Answer; 14] = {
    use Answer::{Denied as No, Permitted as Yes};
    [Yes, No, Yes, Yes, Yes, Yes, Yes, Yes, No, No, No, Yes, No, Yes]
};
const AUTHN: [Answer; 14] = {
    use Answer::{Denied as No, Permitted as Yes};
    [Yes, Yes, Yes, No, No, Yes, No, No, No, No, No, No, Yes, Yes]
};
const BROKER: [Answer; 14] = {
    use Answer::{Denied as No, Permitted as Yes};
    [No, No, No, No, No, No, No, No, Yes, Yes, Yes, No, No, No]
};
const NOBODY: [Answer; 14] = [const { Answer::Denied }; 14];

#[tokio::test]
async fn on_a_unix_socket_the_service_names_itself() {
    let house = House::new();
    assert_eq!(try_all(&house.client(ServiceRole::Proxy)).await, PROXY);
    assert_eq!(try_all(&house.client(ServiceRole::Authn)).await, AUTHN);
    assert_eq!(try_all(&house.client(ServiceRole::Broker)).await, BROKER);
}

#[tokio::test]
async fn over_tls_the_certificate_says_which_service_it_is() {
    let house = House::new();
    let ca = house.ring.internal_ca().unwrap();
    let (url, _stop) = serve_tls(&house, &ca).await;
    let client = |certificate: ServiceRole, says: ServiceRole| {
        let config = client_config(&ca, Some(ca.issue(certificate, SystemClock.now()).unwrap()));
        BrokerClient::connect_lazy(Endpoint::Tls { url: url.parse().unwrap(), config: watch::channel(config).1 }, says)
    };
    assert_eq!(try_all(&client(ServiceRole::Proxy, ServiceRole::Proxy)).await, PROXY);
    assert_eq!(try_all(&client(ServiceRole::Authn, ServiceRole::Authn)).await, AUTHN);
    assert_eq!(try_all(&client(ServiceRole::Broker, ServiceRole::Broker)).await, BROKER);
    assert_eq!(try_all(&client(ServiceRole::Proxy, ServiceRole::Broker)).await, NOBODY, "a proxy pushes nothing");
    assert_eq!(try_all(&client(ServiceRole::Proxy, ServiceRole::Authn)).await, NOBODY, "another's name");
}

#[tokio::test]
async fn over_tls_nobody_gets_in_without_a_certificate_of_ours() {
    let house = House::new();
    let ca = house.ring.internal_ca().unwrap();
    let (url, _stop) = serve_tls(&house, &ca).await;
    let stranger = portcullis_keys::KeyRing::generate(&portcullis_keys::SystemRandom).0.internal_ca().unwrap();
    let foreign = stranger.issue(ServiceRole::Authn, SystemClock.now()).unwrap();
    let ours = ca.issue(ServiceRole::Authn, SystemClock.now()).unwrap();
    for (config, expected) in [
        (client_config(&ca, Some(ours.clone())), Answer::Permitted),
        (client_config(&ca, None), Answer::Unreachable),
        (client_config(&ca, Some(foreign)), Answer::Unreachable),
        (client_config(&stranger, Some(ours)), Answer::Unreachable),
    ] {
        let endpoint = Endpoint::Tls { url: url.parse().unwrap(), config: watch::channel(config).1 };
        assert_eq!(answer(BrokerClient::connect_lazy(endpoint, ServiceRole::Authn).hello(DIGEST).await), expected);
    }
}

async fn serve_tls(house: &House, ca: &InternalCa) -> (String, DropGuard) {
    let (_settings, tls) = watch::channel(server_tls(ca));
    serve_following(house, tls).await
}

/// Serves by whatever `tls` says.
pub(crate) async fn serve_following(house: &House, tls: watch::Receiver<Arc<ServerTls>>) -> (String, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let (broker, stopped) = (house.broker().clone(), stop.clone());
    tokio::spawn(async move { broker.serve_tls(listener, tls, stopped).await.unwrap() });
    (url, stop.drop_guard())
}

/// The broker's settings by `ca`.
pub(crate) fn server_tls(ca: &InternalCa) -> Arc<ServerTls> {
    let leaf = ca.issue(ServiceRole::Broker, SystemClock.now()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)), Arc::clone(&provider)).build().unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::clone(&verifier))
        .with_single_cert(vec![leaf.certificate.clone()], leaf.private_key())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(ServerTls::new(Arc::new(config), verifier))
}

pub(crate) fn client_config(ca: &InternalCa, leaf: Option<ServiceCertificate>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots(ca));
    let mut config = match leaf {
        Some(leaf) => builder.with_client_auth_cert(vec![leaf.certificate.clone()], leaf.private_key()).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

fn roots(ca: &InternalCa) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for root in ca.certificates() {
        roots.add(root).unwrap();
    }
    roots
}
