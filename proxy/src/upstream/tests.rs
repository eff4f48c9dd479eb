use std::net::SocketAddr;

use portcullis_config::UpstreamTls;

use super::*;

fn upstream(host: &str, weight: u32) -> Upstream {
    Upstream { scheme: Scheme::Http, host: host.into(), port: 80, weight }
}

fn route(targets: &Targets, upstreams: &[Upstream]) -> RouteUpstreams {
    let members = upstreams
        .iter()
        .map(|one| {
            let template = Arc::new(PeerTemplate::new(one, &UpstreamTls::default()).unwrap());
            Member { target: targets.target(one), template, health: Vec::new(), weight: one.weight }
        })
        .collect();
    RouteUpstreams::new(members)
}

#[tokio::test]
async fn weights_share_requests_and_load_moves_them() {
    let targets = Targets::default();
    let route = route(&targets, &[upstream("192.0.2.1", 3), upstream("192.0.2.2", 1)]);
    let heavy: SocketAddr = "192.0.2.1:80".parse().unwrap();
    let count = (0..1000).filter(|_| route.choose(&[]).unwrap().endpoint.address == heavy).count();
    assert!((650..990).contains(&count), "{count}");
    let held: Vec<_> = (0..400).map(|_| route.choose(&[]).unwrap()).collect();
    let light = held.iter().filter(|chosen| chosen.endpoint.address != heavy).count();
    assert!((60..140).contains(&light), "{light}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_address_is_left_alone_for_a_while_and_a_lone_one_never() {
    let targets = Targets::default();
    let both = route(&targets, &[upstream("192.0.2.1", 1), upstream("192.0.2.2", 1)]);
    let first = both.choose(&[]).unwrap();
    first.endpoint.failed();
    assert!((0..50).all(|_| both.choose(&[]).unwrap().endpoint.address != first.endpoint.address));
    // A new generation shares the target, and so its health.
    let alone = route(&targets, &[upstream(&first.endpoint.address.ip().to_string(), 1)]);
    assert_eq!(alone.choose(&[]).unwrap().endpoint.address, first.endpoint.address);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!((0..200).any(|_| both.choose(&[]).unwrap().endpoint.address == first.endpoint.address));
}

#[tokio::test]
async fn a_retry_goes_elsewhere_and_retries_are_a_fifth_at_most() {
    let targets = Targets::default();
    let route = route(&targets, &[upstream("192.0.2.1", 1), upstream("192.0.2.2", 1)]);
    let first = route.choose(&[]).unwrap();
    let tried = [first.endpoint.address];
    assert!((0..50).all(|_| route.choose(&tried).unwrap().endpoint.address != tried[0]));
    while route.may_retry() {}
    (0..100).for_each(|_| route.requested());
    assert_eq!((0..100).filter(|_| route.may_retry()).count(), 20);
}

#[tokio::test]
async fn new_addresses_keep_the_health_of_known_ones_and_no_answer_keeps_the_last() {
    let target = Target::new("app.test".into(), 80, Arc::default());
    assert!(target.endpoints().is_empty());
    let [a, b]: [SocketAddr; 2] = ["192.0.2.1:80".parse().unwrap(), "192.0.2.2:80".parse().unwrap()];
    target.located(&[a]);
    target.endpoints().first().unwrap().failed();
    target.located(&[b, a]);
    let healthy: Vec<bool> = target.endpoints().iter().map(|endpoint| endpoint.is_healthy()).collect();
    assert_eq!(healthy, [true, false]);
    target.located(&[]);
    assert_eq!(target.endpoints().len(), 2);
    target.first_resolution().await;
}
