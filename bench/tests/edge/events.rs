//! What an operator sees: one access event per request, metrics a scraper accepts, revocation in time.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::Instant;

use super::edge::{Edge, PATIENCE, eventually};
use super::raw::ask;

/// From "ended" to the last byte and the first refusal (design §9).
const REVOCATION: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn each_request_leaves_exactly_one_access_event() {
    let mut edge = Edge::start().await;
    let mut alice = edge.signed_in("alice").await;
    let mut bob = edge.signed_in("bob").await;
    bob.open(&edge.url("hello", "/")).await.unwrap();
    let mut ids = Vec::new();
    let calls = [("hello", "/json", 200), ("vault", "/json", 401), ("nobody", "/", 0)];
    for (host, path, status) in calls.into_iter().filter(|(host, ..)| *host != "nobody") {
        let page = alice.call(http::Method::GET, &edge.url(host, path), "application/json").await.unwrap();
        assert_eq!(page.status.as_u16(), status);
        ids.push((format!("{host}{path}"), page.header("x-request-id").to_owned()));
    }
    let refused = bob.open(&edge.url("vault", "/")).await.unwrap();
    ids.push(("refused".to_owned(), refused.header("x-request-id").to_owned()));
    // Refused before routing, and by a method that has no route.
    let port = edge.demo.public_port();
    let raw = [
        ("encoded slash", format!("GET /a%2Fb HTTP/1.1\r\nHost: hello.localhost:{port}\r\n\r\n")),
        ("unknown host", format!("GET / HTTP/1.1\r\nHost: elsewhere.localhost:{port}\r\n\r\n")),
        (
            "preflight",
            format!(
                "OPTIONS / HTTP/1.1\r\nHost: hello.localhost:{port}\r\nOrigin: https://x\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
            ),
        ),
    ];
    for (what, request) in raw {
        let answer = ask(&edge, "hello", request.as_bytes()).await.unwrap();
        assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
        ids.push((what.to_owned(), answer.header("x-request-id").unwrap_or_default().to_owned()));
    }
    for (what, id) in ids {
        assert!(!id.is_empty(), "{what} has a request id");
        eventually(&format!("{what}: an access event"), async || {
            (!edge.service().access_events(&id).is_empty()).then_some(())
        })
        .await;
        assert_eq!(edge.service().access_events(&id).len(), 1, "{what}: exactly one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_explained() {
    let mut edge = Edge::start().await;
    let mut bob = edge.signed_in("bob").await;
    let refused = bob.open(&edge.url("vault", "/")).await.unwrap();
    assert_eq!(refused.status, 403);
    let id = refused.header("x-request-id").to_owned();
    let told = edge.service().command(&["explain", &id]).await;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    assert!(text.contains("vault"), "{text}");
    assert!(text.contains("<- [") && text.contains("to pass"), "the facts, and what would change it: {text}");
    let list = edge.service().command(&["decisions", "--decision", "refuse", "--route", "vault"]).await;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.lines().count() == 2 && list.contains(&id), "{list}");
    let unknown = edge.service().command(&["explain", "no-such-request"]).await;
    assert!(!unknown.status.success(), "an unknown id is an error");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_clean_and_the_probes_answer() {
    let mut edge = Edge::start().await;
    edge.signed_in("alice").await;
    let metrics = edge.service().telemetry("/metrics").await;
    assert!(metrics.lines().any(|line| line.starts_with("portcullis_")), "{metrics}");
    assert!(edge.service().telemetry("/livez").await.contains("alive"));
    assert!(edge.service().telemetry("/readyz").await.contains("ready"));
    promtool(&["check", "metrics"], metrics.as_bytes()).await;
}

/// What promtool finds nothing wrong with. Where it is not installed, `make test-tools` says so; the rest of a test
/// stands by itself.
async fn promtool(arguments: &[&str], input: &[u8]) {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else { return };
    promtool.stdin.take().unwrap().write_all(input).await.unwrap();
    let output = tokio::time::timeout(PATIENCE, promtool.wait_with_output()).await.unwrap().unwrap();
    let found = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {found}");
}

/// The alerts that are shipped.
const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/alerts.yaml");

/// A series that an alert reads: its metric, and what has to be among its labels.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    metric: String,
    labels: Vec<String>,
}

/// Every series of ours that the alerts are about. Their messages may name labels too.
fn alerted(alerts: &str) -> Vec<Series> {
    let mut series = Vec::new();
    for alert in alerts.split("- alert:").skip(1) {
        let expression = alert.lines().find_map(|line| line.trim().strip_prefix("expr:")).unwrap();
        let told = alert.split("$labels.").skip(1).map(|rest| format!("{}=\"", word(rest)));
        // The scraper gives the instance, not we.
        let told: Vec<String> = told.filter(|label| label != "instance=\"").collect();
        for rest in expression.split("portcullis_").skip(1) {
            let name = word(rest);
            let (metric, rest) = (format!("portcullis_{name}"), rest.strip_prefix(name).unwrap_or_default());
            let selected = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(labels, _)| labels);
            let selected =
                selected.into_iter().flat_map(|labels| labels.split(',')).map(|label| label.trim().to_owned());
            series.push(Series { metric, labels: told.iter().cloned().chain(selected).collect() });
        }
    }
    series
}

fn word(text: &str) -> &str {
    text.split(|next: char| !next.is_ascii_alphanumeric() && next != '_').next().unwrap_or_default()
}

impl Series {
    fn is_in(&self, scrape: &str) -> bool {
        let Self { metric, labels } = self;
        scrape
            .lines()
            .filter_map(|line| line.strip_prefix(metric.as_str()))
            .any(|rest| rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label.as_str())))
    }
}

#[test]
fn series_of_alerts_are_found_with_their_labels() {
    let alerts = "- alert: A\n expr: rate(portcullis_a_total{outcome=\"x\"}[5m]) > portcullis_b\n summary: \"{{ $labels.instance }} {{ $labels.name }}\"";
    let found = alerted(alerts);
    let series = |metric: &str, labels: &[&str]| Series {
        metric: metric.to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    };
    assert_eq!(
        found,
        [series("portcullis_a_total", &["name=\"", "outcome=\"x\""]), series("portcullis_b", &["name=\""])]
    );
    assert!(found[1].is_in("portcullis_b{name=\"y\"} 1\n"));
    for scrape in ["portcullis_b 1\n", "portcullis_bb{name=\"y\"} 1\n", "# portcullis_b{name=\"y\"} 1\n"] {
        assert!(!found[1].is_in(scrape), "{scrape}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_about_what_a_running_process_exports() {
    let mut edge = Edge::prepare().await;
    let section = revocations(edge.folder.path(), 2999);
    edge.run(&section, "").await;
    let metrics = edge.service().telemetry("/metrics").await;
    let alerted = alerted(&std::fs::read_to_string(ALERTS).unwrap());
    assert!(alerted.len() > 3, "{alerted:?}");
    for series in alerted {
        // A series that only appears with the first failure would keep its alert silent.
        assert!(series.is_in(&metrics), "an alert is about {series:?}, which is not exported:\n{metrics}");
    }
    promtool(&["check", "rules", ALERTS], b"").await;
    promtool(&["test", "rules", &ALERTS.replace("alerts.yaml", "alerts.test.yaml")], b"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_refused_and_its_streams_close_in_time() {
    let mut edge = Edge::start().await;
    let mut alice = edge.signed_in("alice").await;
    let mut bob = edge.signed_in("bob").await;
    let mut stream = alice.watch(&edge.url("hello", "/events")).await.unwrap();
    let mut other = bob.watch(&edge.url("hello", "/events")).await.unwrap();
    assert_eq!((stream.status().as_u16(), other.status().as_u16()), (200, 200));
    let watched = tokio::spawn(async move {
        while let Ok(Some(_)) = stream.chunk().await {}
        Instant::now()
    });
    let ended = edge.service().command(&["sessions", "end", "--user", "alice"]).await;
    let told = Instant::now();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let closed = tokio::time::timeout(PATIENCE, watched).await.expect("the stream closes").unwrap();
    assert!(closed.saturating_duration_since(told) < REVOCATION, "{:?}", closed.saturating_duration_since(told));
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 401);
    // The twin: bob is not concerned.
    assert!(other.chunk().await.unwrap().is_some());
    assert_eq!(edge.status(&mut bob, "hello", "/json").await, 200);
}

/// A section that asks for client certificates, with a list of revoked ones that is due to be replaced in a year.
fn revocations(folder: &Path, year: i32) -> String {
    use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyPair};
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2020, 1, 1),
        next_update: rcgen::date_time_ymd(year, 1, 1),
        crl_number: rcgen::SerialNumber::from_slice(&[1]),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    std::fs::write(folder.join("clients.pem"), root.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.join("clients.crl"), list.signed_by(&Issuer::new(root, key)).unwrap().pem().unwrap())
        .unwrap();
    "downstream_mtls: {ca_file: clients.pem, crl_file: clients.crl, enforcement: policy}".to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_revoked_certificates_that_is_overdue_is_told_and_locks_nobody_out() {
    for (year, overdue) in [(2021, true), (2999, false)] {
        let mut edge = Edge::prepare().await;
        let section = revocations(edge.folder.path(), year);
        edge.run(&section, "").await;
        edge.signed_in("alice").await;
        let checked = edge.service().command(&["check"]).await;
        let said = format!("{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
        assert!(checked.status.success(), "{said}");
        assert_eq!(said.contains("due to be replaced on 2021-01-01T00:00:00Z"), overdue, "{said}");
        let status = edge.service().command(&["status"]).await;
        let said = String::from_utf8_lossy(&status.stdout);
        assert_eq!((status.status.success(), said.contains("clients.crl")), (!overdue, overdue), "{said}");
    }
}
