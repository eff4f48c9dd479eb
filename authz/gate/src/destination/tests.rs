//! Our pages by host and namespace. How nothing confuses them with a route's paths stands with the view's tests.

use portcullis_config::Namespace;

use super::{Destination, OwnPath};
use crate::table::RouteTable;
use crate::{CanonicalPath, sample};

/// Routes on hosts of every kind of pattern.
pub(crate) fn routes() -> RouteTable {
    let policy = sample::policy("[{allow: {or: [{accept: true}]}}]");
    let route = |host: &&str| sample::route(host, sample::prefix("/app"), &policy).into();
    RouteTable::build(["a.test", "*.apps.test", "pr-*.dev.test"].iter().map(route).collect()).unwrap()
}

fn of(namespace: Namespace, host: &str, path: &str) -> Destination {
    Destination::of(host, &CanonicalPath::parse(path).unwrap(), &sample::sign_in(namespace), &routes())
}

#[test]
fn a_host_that_no_route_serves_has_no_page_of_ours_but_ping() {
    use OwnPath::{ApiLogin, Callback, Ping, Unknown, User};
    for (host, served) in [
        ("a.test", true),
        ("x.apps.test", true),
        ("y.x.apps.test", true),
        ("pr-1.dev.test", true),
        ("evil.example", false),
        ("b.a.test", false),
        ("apps.test", false),
        ("dev.test", false),
        ("a.test.evil.example", false),
    ] {
        let own = |page| Destination::Own(if served { page } else { Unknown });
        let to = |path| of(Namespace::Portcullis, host, path);
        assert_eq!(to("/.portcullis/user"), own(User), "{host}");
        assert_eq!(to("/.portcullis/callback"), own(Callback), "{host}");
        assert_eq!(to("/.portcullis/api/v1/login"), own(ApiLogin), "{host}");
        assert_eq!(to("/ping"), Destination::Own(Ping), "{host}");
        assert_eq!(to("/app"), Destination::Route, "{host}");
    }
}

#[test]
fn the_reference_names_give_the_reference_paths() {
    let table = [
        ("/.pomerium/callback/", Destination::Own(OwnPath::Callback)),
        ("/.pomerium/api/v1/routes", Destination::Own(OwnPath::Routes)),
        ("/.well-known/pomerium", Destination::Own(OwnPath::Discovery)),
        ("/healthz", Destination::Own(OwnPath::Ping)),
        ("/.portcullis/user", Destination::Route),
    ];
    for (path, expected) in table {
        assert_eq!(of(Namespace::Pomerium, "a.test", path), expected, "{path}");
    }
}
