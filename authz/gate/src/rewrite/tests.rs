//! What upstreams are asked for, and where callers are sent instead.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use portcullis_config::{
    Action, Forward, HostRewrite, Namespace, PathPattern, PathRewrite, Redirect, RedirectPath, Route, Scheme, Upstream,
    UpstreamTls,
};
use proptest::prelude::*;
use regex::Regex;

use super::{UnsafeRewrite, rewrite_path, upstream_host};
use crate::{RequestHead, RequestView, TlsFacts, redirect_location, sample};

fn with_view<T>(host: &str, target: &str, look: impl FnOnce(&RequestView<'_>) -> T) -> T {
    let headers: HeaderMap = [(http::header::HOST, HeaderValue::from_str(host).unwrap())].into_iter().collect();
    let head = RequestHead {
        version: Version::HTTP_11,
        method: &Method::GET,
        target,
        headers: &headers,
        open: false,
        authority: None,
        tls: TlsFacts::default(),
        peer: None,
        listener_port: 443,
    };
    let table = crate::table::RouteTable::build(Vec::new()).unwrap();
    look(
        &RequestView::read(
            &head,
            &sample::limits(),
            &sample::sign_in(Namespace::Portcullis),
            &table,
            &crate::ClientRules::default(),
        )
        .unwrap(),
    )
}

fn upstream(scheme: Scheme, host: &str, port: u16) -> Upstream {
    Upstream { scheme, host: host.into(), port, weight: 1 }
}

fn forward(path: PathRewrite, host: HostRewrite) -> Forward {
    let upstreams = vec![upstream(Scheme::Http, "10.0.0.7", 8080)];
    Forward { upstreams, path, host, tls: UpstreamTls::default(), health: Vec::new() }
}

fn route(action: Action) -> Route {
    Route { action, ..sample::route("a.test", PathPattern::Any, &sample::policy("allow: {and: [accept: true]}")) }
}

fn rewriting(path: PathRewrite) -> Route {
    route(Action::Forward(Arc::new(forward(path, HostRewrite::Upstream))))
}

fn prefix(from: &str, to: &str) -> PathRewrite {
    PathRewrite::Prefix { from: from.into(), to: to.into() }
}

fn expression(pattern: &str, substitution: &str) -> PathRewrite {
    PathRewrite::Regex { pattern: Arc::new(Regex::new(pattern).unwrap()), substitution: substitution.into() }
}

fn rewritten(path: PathRewrite, target: &str) -> Result<String, UnsafeRewrite> {
    let route = rewriting(path);
    with_view("a.test", target, |view| rewrite_path(&route, view).map(std::borrow::Cow::into_owned))
}

#[test]
fn rewritten_paths_are_judged_again() {
    use crate::Malformed::{PathCharacter, PathEncoding, PathParameters, Target};
    use UnsafeRewrite::{DotSegment, NotAPath, NotAbsolute};
    let table = [
        (PathRewrite::Keep, "/a%2Fb/%21", Ok("/a%2Fb/%21")),
        (PathRewrite::Keep, "/a;x/%21", Ok("/a;x/%21")),
        (prefix("/p", "/base"), "/p;x/y", Ok("/base;x/y")),
        (prefix("/p", "/"), "/p;x/y", Err(NotAPath(PathParameters))),
        (prefix("/p", "/base"), "/p/x", Ok("/base/x")),
        (prefix("/p", "/base"), "/p", Ok("/base")),
        (prefix("/p", "/base/"), "/p/x", Ok("/base/x")),
        (prefix("/p", "/"), "/p/x", Ok("/x")),
        (prefix("/p", "/"), "/p", Ok("/")),
        (prefix("/p", ""), "/p", Ok("/")),
        (prefix("/p/", "/base"), "/p/x", Ok("/basex")),
        (prefix("/p/", ""), "/p/x", Err(NotAbsolute)),
        (prefix("/", "/base/"), "/x/y", Ok("/base/x/y")),
        (prefix("/p!", "/b"), "/p%21/x%21", Ok("/b/x%21")),
        (prefix("/other", "/b"), "/p/x", Ok("/p/x")),
        (prefix("/p.", "/"), "/p..", Err(DotSegment)),
        (prefix("/p.", "/"), "/p.../x", Err(DotSegment)),
        (prefix("/p.", "/"), "/p.x", Ok("/x")),
        (prefix("/p", "/a/."), "/p.", Err(DotSegment)),
        (prefix("/p", "/a/%2e"), "/p.", Err(DotSegment)),
        (prefix("/p", "/a/"), "/p..%2Fx", Err(DotSegment)),
        (prefix("/p", "/a/"), "/p..;x/y", Err(DotSegment)),
        (expression("^/v[0-9]+/", "/"), "/v1/x", Ok("/x")),
        (expression("^/v[0-9]+/", "/"), "/v/x", Ok("/v/x")),
        (expression("^/(.*)/(.*)$", "/$2/$1"), "/a/b", Ok("/b/a")),
        (expression("-", "/"), "/a-..-b", Err(DotSegment)),
        (expression("-", "/"), "/a-b", Ok("/a/b")),
        (expression("x", "."), "/x/a", Err(DotSegment)),
        (expression("^/", ""), "/a", Err(NotAbsolute)),
        (expression("b", "\\"), "/ab", Err(NotAPath(PathCharacter))),
        (expression("b", "%"), "/ab", Err(NotAPath(PathEncoding))),
        (expression("b", "?q"), "/ab", Err(NotAPath(Target))),
        (expression("b", "é"), "/ab", Ok("/a%C3%A9")),
        // An expression that cuts an escape in two.
        (expression("^/a%2", "/"), "/a%2Fb", Ok("/Fb")),
        (expression("5", ""), "/a%25", Err(NotAPath(PathEncoding))),
    ];
    for (rewrite, target, expected) in table {
        let shown = format!("{rewrite:?} {target}");
        assert_eq!(rewritten(rewrite, target).as_deref(), expected.as_deref(), "{shown}");
    }
}

proptest! {
    #[test]
    fn no_rewrite_leads_out_of_where_it_points(
        pieces in prop::collection::vec(prop::sample::select(vec!["/", ".", "..", "p", "%2F", ";", "x", "-"]), 0..10),
        rewrite in 0..4_usize,
    ) {
        let target = format!("/{}", pieces.concat());
        let rewrites = [prefix("/p", "/base"), prefix("/p.", "/"), expression("-", "/"), expression("x", ".")];
        let rewrite = rewrites[rewrite].clone();
        if crate::CanonicalPath::parse(&target).is_ok() && let Ok(path) = rewritten(rewrite, &target) {
            let again = crate::CanonicalPath::parse(&path);
            prop_assert!(again.is_ok_and(|again| again.to_send() == path), "{} -> {}", target, path);
        }
    }
}

#[test]
fn upstreams_are_told_the_host_the_route_says() {
    let headers: HeaderMap = [
        (HeaderName::from_static("x-good"), HeaderValue::from_static("Tenant.test:81")),
        (HeaderName::from_static("x-bad"), HeaderValue::from_static("a.test@evil")),
    ]
    .into_iter()
    .collect();
    let told = |host: HostRewrite, upstream: Upstream| {
        let forward = forward(PathRewrite::Keep, host);
        with_view("A.test.:8443", "/", |view| upstream_host(&forward, &upstream, view, &headers).into_owned())
    };
    let plain = |host: HostRewrite| told(host, upstream(Scheme::Http, "up.test", 80));
    let header = |name| HostRewrite::Header(HeaderName::from_static(name));
    assert_eq!(plain(HostRewrite::Upstream), "up.test");
    assert_eq!(plain(HostRewrite::Preserve), "a.test:8443");
    assert_eq!(plain(HostRewrite::Fixed("fixed.test".into())), "fixed.test");
    assert_eq!(plain(header("x-good")), "Tenant.test:81");
    assert_eq!(plain(header("x-bad")), "up.test");
    assert_eq!(plain(header("x-none")), "up.test");
    assert_eq!(told(HostRewrite::Upstream, upstream(Scheme::Http, "up.test", 443)), "up.test:443");
    assert_eq!(told(HostRewrite::Upstream, upstream(Scheme::Https, "up.test", 443)), "up.test");
    assert_eq!(told(HostRewrite::Upstream, upstream(Scheme::H2c, "up.test", 80)), "up.test");
    assert_eq!(told(HostRewrite::Upstream, upstream(Scheme::Https, "::1", 8443)), "[::1]:8443");
}

#[test]
fn redirects_are_absolute() {
    let keep = || Redirect {
        scheme: None,
        host: None,
        port: None,
        path: RedirectPath::Keep,
        status: StatusCode::FOUND,
        strip_query: false,
    };
    let location = |pattern: PathPattern, redirect: Redirect, target: &str| {
        let route = Route { path: pattern, ..route(Action::Redirect(redirect.clone())) };
        with_view("a.test:8443", target, |view| redirect_location(&route, &redirect, view))
    };
    let any = || PathPattern::Any;
    let to = |path| Redirect { path, ..keep() };
    let replace = |path: &str| to(RedirectPath::Replace(path.into()));
    let prefix = |path: &str| to(RedirectPath::Prefix(path.into()));
    let app = || sample::prefix("/app");
    let cases = [
        (any(), keep(), "/x?q=1", "https://a.test:8443/x?q=1"),
        (any(), Redirect { strip_query: true, ..keep() }, "/x?q=1", "https://a.test:8443/x"),
        (any(), Redirect { host: Some("b.test".into()), ..keep() }, "/x", "https://b.test/x"),
        (any(), Redirect { scheme: Some("http".into()), ..keep() }, "/x", "http://a.test/x"),
        (any(), Redirect { port: Some(9443), ..keep() }, "/x", "https://a.test:9443/x"),
        (any(), replace("/new"), "/x?q=1", "https://a.test:8443/new?q=1"),
        (any(), replace("/new?own=1"), "/x?q=1", "https://a.test:8443/new?own=1"),
        (any(), replace("new"), "/x", "https://a.test:8443/new"),
        (app(), prefix("/v2"), "/app/x", "https://a.test:8443/v2/x"),
        (app(), prefix("/v2/"), "/app/x", "https://a.test:8443/v2/x"),
        (app(), prefix("/"), "/app/x", "https://a.test:8443/x"),
        (app(), prefix("/"), "/app", "https://a.test:8443/"),
        (app(), prefix("/"), "/app//evil.test", "https://a.test:8443/evil.test"),
        (any(), keep(), "//evil.test/x", "https://a.test:8443/evil.test/x"),
        (any(), prefix("/v2"), "/x", "https://a.test:8443/v2x"),
    ];
    for (pattern, redirect, target, expected) in cases {
        assert_eq!(location(pattern, redirect, target), expected, "{target}");
    }
}
