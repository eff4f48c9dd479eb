//! Configurations, routes and sessions for tests, written out without any file. Shared by the unit tests and
//! `tests/no_alloc.rs`, so it speaks only of other crates.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use portcullis_config as config;
use portcullis_identity::{Claims, Needs, Principal, ProviderName, Session, SessionKey, Subject, Timestamp};
use portcullis_policy::{Program, compile_policy, yaml};

/// The instant tests take for the present.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// A compiled policy.
pub(crate) fn policy(text: &str) -> Arc<Program> {
    let tree = yaml::parse(text).expect("the policy is YAML");
    compile_policy(&tree).expect("the policy is valid").program
}

/// A route on `host` (with `*`: a pattern) that answers by itself and permits whom `policy` permits.
pub(crate) fn route(host: &str, path: config::PathPattern, policy: &Arc<Program>) -> config::Route {
    let exact = !host.contains('*');
    let mut digest = [0; 32];
    let text = format!("{host} {path:?}");
    for (at, byte) in text.bytes().chain(policy.digest()).enumerate() {
        digest[at % 32] ^= byte.rotate_left((at / 32) as u32);
    }
    config::Route {
        name: format!("{host}{path:?}").into(),
        description: None,
        digest,
        line: 1,
        host: if exact { config::HostPattern::Exact(host.into()) } else { config::HostPattern::Wildcard(host.into()) },
        port: None,
        path,
        action: config::Action::Respond { status: StatusCode::OK, body: "".into() },
        policy: Arc::clone(policy),
        shadow: None,
        client_trust: None,
        needs: Needs::default(),
        idle: None,
        headers: config::HeaderEdits {
            set_request: Vec::new(),
            remove_request: Vec::new(),
            set_response: Vec::new(),
            pass_identity: true,
        },
        exchange: config::ExchangeRules {
            timeout: None,
            idle_timeout: None,
            websockets: false,
            cors_preflight: false,
            encoded_slashes: config::EncodedSlashes::Refuse,
            keep_fragment: false,
            show_error_details: false,
        },
    }
}

/// A prefix pattern.
pub(crate) fn prefix(path: &str) -> config::PathPattern {
    config::PathPattern::Prefix(path.into())
}

/// A configuration with these routes, the sign-in host `auth.corp.test` and every limit at its default.
pub(crate) fn config(routes: Vec<config::Route>) -> config::Config {
    config::Config {
        generation: config::Generation([7; 32]),
        services: config::Services(BTreeSet::from([config::Service::Proxy])),
        directories: config::Directories { run: PathBuf::new(), state: PathBuf::new() },
        listen: config::Listen {
            public: Vec::new(),
            public_port: 443,
            redirect: None,
            internal: config::Internal { broker: None, authn: None },
            telemetry: None,
        },
        tls: config::Tls { certificates: Vec::new() },
        downstream_mtls: config::DownstreamMtls {
            trust: None,
            enforcement: config::Enforcement::default(),
            revocations: None,
        },
        sign_in: sign_in(config::Namespace::Portcullis),
        providers: Vec::new(),
        session: config::SessionLimits { lifetime: Duration::from_secs(14 * 3600), idle: None },
        secret: config::SecretSource::StateFile(PathBuf::new()),
        replica: config::ReplicaLimits { max_bytes: 1 << 20, max_staleness: Duration::from_secs(300) },
        storage: config::Storage::Embedded { path: PathBuf::new() },
        assertion: config::Assertion {
            signing_keys: Vec::new(),
            issuer_format: config::IssuerFormat::HostOnly,
            claim_headers: Vec::new(),
        },
        siblings: config::Siblings { broker: None, authn: None },
        limits: limits(),
        telemetry: config::Telemetry { log: "info".to_owned() },
        decisions: config::Decisions { ring: 16, sink: None },
        routes: routes.into_iter().map(Arc::new).collect(),
        warnings: Vec::new(),
    }
}

/// The names of a namespace on the sign-in host `auth.corp.test`.
pub(crate) fn sign_in(namespace: config::Namespace) -> config::SignIn {
    config::SignIn {
        host: "auth.corp.test".into(),
        namespace,
        cookie: config::Cookie {
            name: "__Host-portcullis".into(),
            bind_name: "__Host-portcullis-bind".into(),
            domain: None,
            same_site: config::SameSite::Lax,
        },
        signed_out_url: None,
        programmatic_hosts: Vec::new(),
    }
}

/// Every limit at its default.
pub(crate) fn limits() -> config::Limits {
    config::Limits {
        handshake: Duration::from_secs(10),
        head: Duration::from_secs(60),
        body_progress: Duration::from_secs(60),
        client_write: Duration::from_secs(60),
        connections: 65_536,
        connections_per_prefix: 1024,
        sign_ins_per_prefix: 600,
        header_fields: 100,
        head_bytes: 32 * 1024,
        trusted_proxies: Vec::new(),
        drain: config::Drain {
            delay: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            h2: Duration::from_secs(30),
        },
    }
}

/// A session of `email` at the provider `corp`, made a minute ago, used just now.
pub(crate) fn session(email: &str, claims: &str) -> Session {
    Session {
        key: SessionKey::from_bytes([5; 32]),
        version: 1,
        principal: Principal { issuer: "https://idp.corp.test".into(), subject: "u-1".into() },
        provider: ProviderName::new("corp"),
        provider_session: None,
        subject: Subject {
            user_id: "u-1".into(),
            email: email.into(),
            name: "Kim".into(),
            claims: Claims::from_json(claims).expect("the claims are JSON"),
            groups: None,
            devices: Arc::new([]),
        },
        authenticated_at: NOW.saturating_sub(Duration::from_secs(60)),
        acr: None,
        last_used: NOW,
        expires_at: NOW.saturating_add(Duration::from_secs(3600)),
        idle: None,
    }
}
