use crate::client::status;
use crate::upstream::Upstream;
use crate::upstreams::{pem, tls_upstream};
use crate::world::{World, certificate};

/// Every 100 ms, by a GET.
const CHECK: &str = "health_checks: [{interval: 100ms, http_health_check: {path: /healthz}}]";

/// A route to the world's upstream and `second`, with these keys.
fn route(name: &str, host: &str, second: &Upstream, keys: &str) -> String {
    format!(
        "\n  - {{name: {name}, from: https://{host}, to: ['http://UP', 'http://{}'], allow_public_unauthenticated_access: true, {keys}}}",
        second.address
    )
}

/// How many of 40 requests to `host` each of the two got.
async fn shares(world: &World, host: &str, second: &Upstream) -> (usize, usize) {
    let before = (world.upstream.count(), second.count());
    for _ in 0..40 {
        assert_eq!(status(&world.get(host, "/", "").await), 200);
    }
    (world.upstream.count() - before.0, second.count() - before.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ill_upstream_gets_no_requests_until_it_is_well_again() {
    let second = Upstream::start().await;
    let routes = route("checked", "open.test", &second, CHECK) + &route("unchecked", "other.test", &second, "");
    let world = World::with(&routes, "").await;
    // Nobody has been checked yet, and nobody waits for it.
    assert_eq!(status(&world.get("open.test", "/", "").await), 200);
    second.falls(true, 1).await;
    let (first_share, second_share) = shares(&world, "open.test", &second).await;
    assert_eq!((first_share, second_share), (40, 0));
    let told = world.proxy.unhealthy_upstreams();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].address, told[0].cause), (second.address, "answer"));
    assert_eq!(told[0].upstream, format!("http://{}", second.address));
    assert!(world.metric("portcullis_proxy_upstreams_unhealthy") >= 1.0);
    // A route that asks for no check is told by none.
    let (_, of_unchecked) = shares(&world, "other.test", &second).await;
    assert!(of_unchecked > 0);
    // A new generation forgets nothing.
    world.publish(&(routes + &route("another", "wiki.test", &second, "")), "");
    assert_eq!(world.proxy.unhealthy_upstreams(), told);
    assert_eq!(shares(&world, "open.test", &second).await.1, 0);
    second.falls(false, 2).await;
    assert!(world.proxy.unhealthy_upstreams().is_empty());
    assert!(shares(&world, "open.test", &second).await.1 > 0);
    assert!(world.metric(r#"portcullis_proxy_health_checks_total{outcome="passed"}"#) >= 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_is_well_all_are_tried() {
    let second = Upstream::start().await;
    let world = World::with(&route("checked", "open.test", &second, CHECK), "").await;
    tokio::join!(world.upstream.falls(true, 1), second.falls(true, 1));
    assert_eq!(world.proxy.unhealthy_upstreams().len(), 2);
    let (first_share, second_share) = shares(&world, "open.test", &second).await;
    assert!(first_share > 0 && second_share > 0, "{first_share} {second_share}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_servers_are_asked_in_their_own_protocol() {
    let world = World::with(
        "\n  - {name: open, from: https://open.test, to: h2c://UP, allow_public_unauthenticated_access: true, health_checks: [{interval: 100ms, grpc_health_check: {service_name: corp.Ledger}}]}",
        "",
    )
    .await;
    world.upstream.checked(2).await;
    assert!(world.proxy.unhealthy_upstreams().is_empty());
    assert!(world.metric(r#"portcullis_proxy_health_checks_total{outcome="passed"}"#) >= 1.0);
    world.upstream.falls(true, 1).await;
    assert_eq!(world.proxy.unhealthy_upstreams()[0].cause, "answer");
    world.upstream.falls(false, 2).await;
    assert!(world.proxy.unhealthy_upstreams().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_verify_their_upstream_as_the_route_does() {
    let (right, wrong) = (certificate(&["inner.test"]), certificate(&["inner.test"]));
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, der: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, pem("CERTIFICATE", der)).unwrap();
        path.display().to_string()
    };
    let (ca, other) = (file("ca.pem", &right.chain[0]), file("other.pem", &wrong.chain[0]));
    for probe in ["tcp_health_check: {}", "http_health_check: {path: /healthz}"] {
        for (ca, cause) in [(&ca, None), (&other, Some("connect"))] {
            let upstream = tls_upstream(&right, None, &[b"h2", b"http/1.1"]).await;
            let world = World::with(
                &format!(
                    "\n  - {{name: open, from: https://open.test, to: https://{}, allow_public_unauthenticated_access: true, tls_upstream_server_name: inner.test, tls_custom_ca_file: {ca}, health_checks: [{{interval: 100ms, unhealthy_threshold: 2, {probe}}}]}}",
                    upstream.address
                ),
                "",
            )
            .await;
            // Connections count here: two that fail, and one that begins after both were counted. An answer to
            // `/healthz` counts too.
            upstream.checked(5).await;
            let told = world.proxy.unhealthy_upstreams();
            assert_eq!(told.first().map(|told| told.cause), cause, "{probe} {cause:?}");
        }
    }
}
