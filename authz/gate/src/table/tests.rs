//! The index against the plain reading of the file.

use std::sync::Arc;

use portcullis_config::{HostPattern, PathPattern, Route};
use proptest::prelude::*;
use regex::Regex;

use super::RouteTable;
use super::glob::Glob;
use crate::{BuildError, CanonicalPath, sample};

fn path(text: &str) -> CanonicalPath<'_> {
    CanonicalPath::parse(text).unwrap()
}

fn exact(text: &str) -> PathPattern {
    PathPattern::Exact(text.into())
}

fn expression(text: &str) -> PathPattern {
    PathPattern::Regex(Arc::new(Regex::new(&format!("^(?:{text})$")).unwrap()))
}

/// A table of these hosts and paths; `host:port` gives a port.
fn table(routes: Vec<(&str, PathPattern)>) -> RouteTable {
    let policy = sample::policy("allow: {and: [accept: true]}");
    let route = |(at, (host, path)): (usize, (&str, PathPattern))| {
        let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, port.parse().ok()));
        Arc::new(Route { port, line: at, ..sample::route(host, path, &policy) })
    };
    RouteTable::build(routes.into_iter().enumerate().map(route).collect()).unwrap()
}

/// The position in the file of the route that serves a URL.
fn found(table: &RouteTable, host: &str, port: u16, text: &str) -> Option<usize> {
    table.find(host, port, &path(text)).map(|route| route.line)
}

#[test]
fn the_first_route_of_a_host_in_file_order_wins() {
    let table = table(vec![
        ("a.test", exact("/exact")),
        ("a.test", sample::prefix("/app/admin")),
        ("a.test", sample::prefix("/app")),
        ("a.test", expression("/app/x[0-9]+")),
        ("a.test", expression("/re/[a-z]+")),
        ("a.test", sample::prefix("/re")),
        ("a.test", exact("/re/late")),
        ("a.test", sample::prefix("/exact")),
        ("b.test", PathPattern::Any),
    ]);
    let cases = [
        ("a.test", "/exact", Some(0)),
        ("a.test", "/exact/", Some(7)),
        ("a.test", "/app/admin/x", Some(1)),
        ("a.test", "/app/administrator", Some(1)),
        ("a.test", "/app", Some(2)),
        ("a.test", "/apple", Some(2)),
        ("a.test", "/app/x12", Some(2)),
        ("a.test", "/re/abc", Some(4)),
        ("a.test", "/re/abc/d", Some(5)),
        ("a.test", "/re/late", Some(4)),
        ("a.test", "/re/LATE", Some(5)),
        ("a.test", "/ap", None),
        ("a.test", "/", None),
        ("b.test", "/anything", Some(8)),
        ("c.test", "/", None),
    ];
    for (host, path, expected) in cases {
        assert_eq!(found(&table, host, 443, path), expected, "{host}{path}");
    }
}

#[test]
fn an_expression_is_found_by_its_literal_beginning_whatever_else_it_says() {
    let texts = ["/a/[0-9]+", "/a/b|/c", "(?i)/UP.*", "/é[x-z]", "/é.*", "/a/(b|7)", "(?:/x)?/y", "/d{2}", "/d+e"];
    let table = table(texts.iter().map(|text| ("a.test", expression(text))).collect());
    let cases = [
        ("/a/7", Some(0)),
        ("/a/b", Some(1)),
        ("/c", Some(1)),
        ("/up/x", Some(2)),
        ("/y", Some(6)),
        ("/x/y", Some(6)),
        ("/dd", Some(7)),
        ("/dde", Some(8)),
        ("/a/x", None),
        ("/z/a/7", None),
        ("/", None),
    ];
    for (path, expected) in cases {
        assert_eq!(found(&table, "a.test", 443, path), expected, "{path}");
    }
}

#[test]
fn exact_hosts_come_before_patterns_and_patterns_in_file_order() {
    let table = table(vec![
        ("*.corp.test", sample::prefix("/first")),
        ("*", sample::prefix("/any")),
        ("wiki.corp.test", sample::prefix("/wiki")),
        ("*.deep.corp.test", PathPattern::Any),
        ("*.corp.test", PathPattern::Any),
        ("api-*.corp.test", PathPattern::Any),
        ("*x*.test", PathPattern::Any),
    ]);
    let cases = [
        ("wiki.corp.test", "/wiki/1", Some(2)),
        // Written out, and none of its routes has the path: no pattern is asked.
        ("wiki.corp.test", "/first", None),
        ("wiki.corp.test", "/any", None),
        ("other.corp.test", "/first", Some(0)),
        ("other.corp.test", "/any", Some(1)),
        ("other.corp.test", "/x", Some(4)),
        ("a.deep.corp.test", "/x", Some(3)),
        ("a.b.corp.test", "/x", Some(4)),
        ("api-1.corp.test", "/x", Some(4)),
        ("corp.test", "/first", None),
        ("corp.test", "/any", Some(1)),
        ("wxy.test", "/", Some(6)),
        ("wy.test", "/", None),
        ("xcorp.test", "/first", Some(6)),
    ];
    for (host, path, expected) in cases {
        assert_eq!(found(&table, host, 443, path), expected, "{host}{path}");
    }
}

#[test]
fn a_port_counts_only_where_a_route_gives_one() {
    let table = table(vec![
        ("a.test:9443", PathPattern::Any),
        ("a.test", PathPattern::Any),
        ("b.test:9443", PathPattern::Any),
        ("*.test", PathPattern::Any),
    ]);
    for (host, port, expected) in [
        ("a.test", 9443, Some(0)),
        ("a.test", 443, Some(1)),
        ("a.test", 1, Some(1)),
        ("b.test", 9443, Some(2)),
        // All of the host's own routes want another port: it is as if it were not written out.
        ("b.test", 443, Some(3)),
    ] {
        assert_eq!(found(&table, host, port, "/"), expected, "{host}:{port}");
    }
}

#[test]
fn a_spelling_does_not_lead_past_a_route() {
    let table = table(vec![
        ("a.test", sample::prefix("/admin!")),
        ("a.test", sample::prefix("/a b")),
        ("a.test", sample::prefix("/caf%c3%a9")),
        ("a.test", PathPattern::Any),
    ]);
    for (text, expected) in [
        ("/admin!/x", 0),
        ("/admin%21/x", 0),
        ("/%61dmin%21", 0),
        ("//admin!", 0),
        ("/x/../admin!", 0),
        ("/a%20b", 1),
        ("/caf%C3%A9", 2),
        ("/café", 2),
        ("/admin%2521", 3),
    ] {
        assert_eq!(found(&table, "a.test", 443, text), Some(expected), "{text}");
    }
}

#[test]
fn a_route_that_nothing_could_match_is_an_error() {
    let policy = sample::policy("allow: {and: [accept: true]}");
    let build = |host: &str, path| RouteTable::build(vec![Arc::new(sample::route(host, path, &policy))]).err();
    assert!(matches!(build("A.test", PathPattern::Any), Some(BuildError::HostNotCanonical { .. })));
    assert!(matches!(build("a.test:443", PathPattern::Any), Some(BuildError::HostNotCanonical { .. })));
    assert!(matches!(build("a.test", sample::prefix("app")), Some(BuildError::PathNotValid { .. })));
    assert!(matches!(build("a.test", sample::prefix("/%zz")), Some(BuildError::PathNotValid { .. })));
    assert_eq!(build("a.test", sample::prefix("/app")), None);
}

#[test]
fn globs_match_whole_hosts() {
    let cases = [
        ("*", "", true),
        ("*", "a.b", true),
        ("a*", "a", true),
        ("a*", "ba", false),
        ("*a", "ba", true),
        ("*a", "ab", false),
        ("a*a", "a", false),
        ("a*a", "aa", true),
        ("a*b*c", "abc", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "acb", false),
        ("**", "x", true),
        ("*.*.test", "a.b.test", true),
        ("*.*.test", "a.test", false),
        ("plain", "plain", true),
        ("plain", "plainer", false),
    ];
    for (pattern, host, expected) in cases {
        assert_eq!(Glob::new(pattern).matches(host), expected, "{pattern} {host}");
    }
}

/// What the file says, read from the top.
fn plainly(routes: &[Arc<Route>], host: &str, port: u16, path: &str) -> Option<usize> {
    let takes = |route: &Route| route.port.is_none_or(|wanted| wanted == port);
    let is_exact = |route: &Route| matches!(&route.host, HostPattern::Exact(own) if **own == *host);
    let written_out = routes.iter().any(|route| is_exact(route) && takes(route));
    let serves = |route: &&Arc<Route>| {
        let host = match &route.host {
            HostPattern::Exact(_) => is_exact(route),
            HostPattern::Wildcard(pattern) => {
                let pattern = format!("^{}$", regex::escape(pattern).replace("\\*", ".*"));
                !written_out && Regex::new(&pattern).unwrap().is_match(host)
            }
        };
        let path = match &route.path {
            PathPattern::Any => true,
            PathPattern::Prefix(prefix) => path.starts_with(&**prefix),
            PathPattern::Exact(own) => path == &**own,
            PathPattern::Regex(expression) => expression.is_match(path),
        };
        host && path && takes(route)
    };
    routes.iter().find(serves).map(|route| route.line)
}

fn hosts() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a.test",
        "b.test",
        "a.b.test",
        "*.test",
        "*.b.test",
        "*",
        "a*.test",
        "*b*",
        "a.test:9443",
        "*.test:9443",
    ])
}

fn paths() -> impl Strategy<Value = String> {
    // As requests are judged: without runs of slashes, of which three passes leave none of five.
    prop::collection::vec(prop::sample::select(vec!["/", "a", "b", "ab"]), 0..5)
        .prop_map(|pieces| (0..3).fold(format!("/{}", pieces.concat()), |path, _| path.replace("//", "/")))
}

fn patterns() -> impl Strategy<Value = PathPattern> {
    prop_oneof![
        1 => Just(PathPattern::Any),
        4 => paths().prop_map(|path| sample::prefix(&path)),
        2 => paths().prop_map(|path| exact(&path)),
        1 => Just(expression("/a.*b")),
        1 => Just(expression("/[ab]+/?")),
        1 => Just(expression("/ab|/b.*")),
        1 => Just(expression("/(?i:A)b?")),
        1 => Just(expression("(?m)/a$|/a/.*")),
        1 => Just(expression("(/ab)*")),
        1 => paths().prop_map(|path| expression(&format!("{path}.*"))),
    ]
}

proptest! {
    #[test]
    fn the_index_agrees_with_the_file(
        routes in prop::collection::vec((hosts(), patterns()), 0..12),
        host in prop::sample::select(vec!["a.test", "b.test", "a.b.test", "c.a.b.test", "test", "xbx"]),
        port in prop::sample::select(vec![443_u16, 9443]),
        request in paths(),
    ) {
        let table = table(routes);
        prop_assert_eq!(found(&table, host, port, &request), plainly(table.routes(), host, port, &request));
    }
}
