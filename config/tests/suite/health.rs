//! `health_checks`: what is made of them, and what is wrong with them where.

use std::time::Duration;

use portcullis_config::{Action, Forward, HealthCheck, Probe};

use crate::scene::{Scene, Table, public};

const HTTP: &str = "http_health_check: {path: /up}";

/// A route with these checks; the list begins on line 5, column 20.
fn with(checks: &str) -> String {
    public(&format!("to: https://a.test\nhealth_checks: {checks}"))
}

fn checks(text: &str) -> Vec<HealthCheck> {
    let config = Scene::new().loaded(text).config;
    let Action::Forward(forward) = &config.routes[0].action else { panic!("forwards") };
    let Forward { health, .. } = &**forward;
    health.clone()
}

#[test]
fn one_or_several_with_their_defaults() {
    let second = Duration::from_secs(1);
    let [one] = &*checks(&with(&format!("{{{HTTP}}}"))) else { panic!("one check") };
    assert_eq!(one.probe, Probe::Http { host: None, path: "/up".into(), expected: vec![200..=200] });
    assert_eq!((one.interval, one.timeout), (10 * second, 5 * second));
    assert_eq!((one.unhealthy_threshold, one.healthy_threshold), (3, 2));
    let several = checks(&with(
        "[{interval: 1s, timeout: 2s, unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {}}, \
         {grpc_health_check: {service_name: a.B, authority: 'b.test:1'}}, \
         {http_health_check: {host: B.test, path: '/up?x=1', expected_statuses: [204, {start: 300, end: 400}]}}]",
    ));
    assert_eq!(several.len(), 3);
    assert_eq!((&several[0].probe, several[0].interval, several[0].unhealthy_threshold), (&Probe::Tcp, second, 1));
    assert_eq!(several[1].probe, Probe::Grpc { service: "a.B".into(), authority: Some("b.test:1".into()) });
    let expected = vec![204..=204, 300..=399];
    assert_eq!(several[2].probe, Probe::Http { host: Some("b.test".into()), path: "/up?x=1".into(), expected });
    assert!(checks(&public("to: http://a.test")).is_empty());
}

#[test]
fn a_check_changes_its_routes_digest() {
    let digest = |text: &str| Scene::new().loaded(text).config.routes[0].digest;
    assert_ne!(digest(&with(&format!("{{{HTTP}}}"))), digest(&with("{http_health_check: {path: /other}}")));
}

#[test]
fn what_asks_nothing_or_too_much_is_refused() {
    let scene = Scene::new();
    let mut table = Table::default();
    let good = format!("[{{{HTTP}}}]");
    for (bad, message, good) in [
        ("[{interval: 10s}]", "health_checks[0]: asks nothing", &*good),
        (
            "[{tcp_health_check: {}, http_health_check: {path: /}}]",
            "tcp_health_check: one entry asks one thing",
            "{tcp_health_check: {}}",
        ),
        ("[{tcp_health_check: {}}, {tcp_health_check: {}}]", "health_checks[1]: is given twice", &*good),
        (
            "[{interval: 50ms, tcp_health_check: {}}]",
            ".interval: must be at least 100ms",
            "{interval: 100ms, tcp_health_check: {}}",
        ),
        (
            "[{timeout: '0', tcp_health_check: {}}]",
            ".timeout: must be at least 1ms",
            "{timeout: 1ms, tcp_health_check: {}}",
        ),
        (
            "[{healthy_threshold: 0, tcp_health_check: {}}]",
            ".healthy_threshold: must be at least 1",
            "{healthy_threshold: 1, tcp_health_check: {}}",
        ),
        (
            "[{unhealthy_threshold: 0, tcp_health_check: {}}]",
            ".unhealthy_threshold: must be at least 1",
            "{unhealthy_threshold: 1, tcp_health_check: {}}",
        ),
        ("[{http_health_check: {path: up}}]", ".path: is not a path", &*good),
        ("[{http_health_check: {}}]", "`path` is missing", &*good),
        ("[{http_health_check: {path: /up, host: 'a b'}}]", ".host: ", "{http_health_check: {path: /up, host: a}}"),
        (
            "[{http_health_check: {path: /up, expected_statuses: [99]}}]",
            "[0]: is no status",
            "{http_health_check: {path: /up, expected_statuses: [200]}}",
        ),
        (
            "[{http_health_check: {path: /up, expected_statuses: [{start: 300, end: 300}]}}]",
            "[0]: is no status",
            "{http_health_check: {path: /up, expected_statuses: [{start: 300, end: 301}]}}",
        ),
        ("[{http_health_check: {path: /up, expected_statuses: [x]}}]", "expected a status, or {start, end}", &*good),
        ("[{http_health_check: {path: /up, method: PUT}}]", ".method: unknown key", &*good),
    ] {
        table.check(&scene, (&with(bad), "5:", message), &with(good));
    }
    let grpc = |to: &str| public(&format!("to: {to}\nhealth_checks: {{grpc_health_check: {{}}}}"));
    table.check(
        &scene,
        (&grpc("http://a"), "5:", "grpc_health_check: an `http` upstream speaks no gRPC"),
        &grpc("h2c://a"),
    );
    let answers = |keys: &str| public(&format!("response: {{status: 200}}{keys}"));
    table.check(
        &scene,
        (&answers("\nhealth_checks: {tcp_health_check: {}}"), "5:", "health_checks: has no meaning"),
        &answers(""),
    );
}
