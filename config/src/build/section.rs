//! The sections that are neither providers nor routes nor sign-in.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use portcullis_identity::SecretText;
use url::Url;

use super::Build;
use crate::field::Field;
use crate::model::{
    Decisions, Directories, Drain, Internal, Limits, Listen, ReplicaLimits, SecretSource, Service, Services,
    SessionLimits, Siblings, Storage, Telemetry, Tls,
};
use crate::pem;
use crate::report::Fault;
use crate::schema::{
    Address, CertificateEntry, DecisionsSection, DrainSection, EngineName, InternalSection, LimitsSection,
    ListenSection, OneOrMany, PemFile, Period, Reference, ReplicaSection, ServiceName, SessionSection, SiblingsSection,
    SinkSection, StorageSection, Switch, TelemetrySection, TlsSection,
};

/// The most decision records in memory.
const MAX_DECISIONS: usize = 1_000_000;

/// The broker's port for other hosts.
const BROKER_PORT: u16 = 5443;

/// authn's port for other hosts.
const AUTHN_PORT: u16 = 5444;

const PUBLIC: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 443);
const TELEMETRY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// The services this process runs; all by default.
pub(crate) fn services(build: &mut Build<'_>, names: Option<OneOrMany<ServiceName>>) -> Services {
    let all = || Services(BTreeSet::from([Service::Proxy, Service::Authn, Service::Broker]));
    let Some(OneOrMany(names)) = names else { return all() };
    let at = Field::Root.key("services");
    if names.is_empty() {
        build.report.fault(&at, Fault::new("no service is named").help("leave the key out for all of them"));
    }
    if names.contains(&ServiceName::All) {
        if names.len() > 1 {
            build.report.fault(&at, Fault::new("`all` stands alone"));
        }
        return all();
    }
    let service = |name: &ServiceName| match name {
        ServiceName::All => None,
        ServiceName::Proxy => Some(Service::Proxy),
        ServiceName::Authn => Some(Service::Authn),
        ServiceName::Broker => Some(Service::Broker),
    };
    Services(names.iter().filter_map(service).collect())
}

/// Where sibling services are.
pub(crate) fn siblings(build: &mut Build<'_>, section: SiblingsSection) -> Siblings {
    let SiblingsSection { broker, authn } = section;
    let at = Field::Root.key("siblings");
    let mut url = |name: &str, text: Option<String>, port: u16| {
        let text = text?;
        build.report.take(&at.key(name), sibling(&text, port))
    };
    Siblings { broker: url("broker", broker, BROKER_PORT), authn: url("authn", authn, AUTHN_PORT) }
}

fn sibling(text: &str, usual_port: u16) -> Result<Url, Fault> {
    let help = "write https://HOST:PORT";
    let mut url = Url::parse(text).map_err(|_error| Fault::new(format!("`{text}` is not a URL")).help(help))?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.username().is_empty();
    if url.scheme() != "https" || !url.has_host() || !bare {
        return Err(Fault::new(format!("`{text}` is not the https address of a service")).help(help));
    }
    if url.port().is_none() && !text.trim_end_matches('/').ends_with(":443") {
        url.set_port(Some(usual_port)).map_err(|()| Fault::new(format!("`{text}` takes no port")))?;
    }
    Ok(url)
}

/// Addresses, with the port that users type.
pub(crate) fn listen(
    build: &mut Build<'_>,
    section: ListenSection,
    services: &Services,
    siblings: &Siblings,
) -> Listen {
    let ListenSection { public, public_port, redirect, internal, telemetry } = section;
    let at = Field::Root.key("listen");
    let public: Vec<SocketAddr> = match public {
        Some(OneOrMany(addresses)) => addresses.into_iter().map(|Address(address)| address).collect(),
        None => vec![PUBLIC],
    };
    if public.is_empty() {
        build.report.fault(&at.key("public"), Fault::new("no address is given"));
    }
    if public_port == Some(0) {
        build.report.fault(&at.key("public_port"), Fault::new("0 is not a port that users can type"));
    }
    let InternalSection { broker, authn } = internal;
    // A service that other hosts are told to find elsewhere than on their own socket listens where they look.
    let looked_for = |service, url: Option<&Url>| {
        let port = url.filter(|_| services.runs(service)).and_then(Url::port_or_known_default)?;
        Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port))
    };
    let internal = Internal {
        broker: address(broker, looked_for(Service::Broker, siblings.broker.as_ref())),
        authn: address(authn, looked_for(Service::Authn, siblings.authn.as_ref())),
    };
    let listen = Listen {
        public_port: public_port.or_else(|| public.first().map(SocketAddr::port)).unwrap_or(443),
        public,
        redirect: address(redirect, None),
        internal,
        telemetry: address(telemetry, Some(TELEMETRY)),
    };
    collisions(build, &at, &listen);
    listen
}

fn address(switch: Option<Switch>, default: Option<SocketAddr>) -> Option<SocketAddr> {
    match switch {
        None => default,
        Some(Switch::Off) => None,
        Some(Switch::On(Address(address))) => Some(address),
    }
}

/// Two listeners on one port of one address cannot be; port 0 is a free one each time.
fn collisions(build: &mut Build<'_>, at: &Field<'_>, listen: &Listen) {
    let named = [
        ("redirect", listen.redirect),
        ("internal", listen.internal.broker),
        ("internal", listen.internal.authn),
        ("telemetry", listen.telemetry),
    ];
    let mut taken: Vec<SocketAddr> = Vec::new();
    let public = listen.public.iter().map(|address| ("public", Some(*address)));
    for (name, address) in public.chain(named) {
        let Some(address) = address else { continue };
        let clash = |other: &SocketAddr| {
            let anywhere = other.ip().is_unspecified() || address.ip().is_unspecified();
            address.port() != 0 && other.port() == address.port() && (anywhere || other.ip() == address.ip())
        };
        // Both families of "everywhere" side by side are two sockets.
        let twins = |other: &SocketAddr| {
            other.ip().is_unspecified() && address.ip().is_unspecified() && other.is_ipv4() != address.is_ipv4()
        };
        if taken.iter().any(|other| clash(other) && !twins(other)) {
            build.report.fault(&at.key(name), Fault::new(format!("{address} is taken by another listener")));
        }
        taken.push(address);
    }
}

/// Certificates with their keys.
pub(crate) fn tls(build: &mut Build<'_>, section: TlsSection) -> Tls {
    let TlsSection { certificates } = section;
    let at = Field::Root.key("tls");
    let at = at.key("certificates");
    let mut read = Vec::new();
    for (index, CertificateEntry { cert, key }) in certificates.iter().enumerate() {
        let at = at.index(index);
        let chain = build.pem_file(&at.key("cert"), cert);
        let PemFile(key) = key;
        let key = build.secret_text(&at.key("key"), key);
        if let (Some(chain), Some(key)) = (chain, key) {
            let origin = chain.origin.display().to_string();
            let pair = pem::certificate(&chain.text, &key.text, chain.origin);
            let pair = pair.map_err(|error| Fault::new(format!("{origin}: {error}")));
            read.extend(build.report.take(&at, pair));
        }
    }
    Tls { certificates: read }
}

/// How long sessions live.
pub(crate) fn session(build: &mut Build<'_>, section: &SessionSection) -> SessionLimits {
    let SessionSection { lifetime, idle } = section;
    let at = Field::Root.key("session");
    let lifetime = positive(build, &at.key("lifetime"), *lifetime);
    let idle = idle.limit();
    if idle.is_some_and(|idle| idle > lifetime) {
        build.report.warn(&at.key("idle"), "is longer than `lifetime` and so never matters", None);
    }
    SessionLimits { lifetime, idle }
}

/// A duration that cannot be "none".
fn positive(build: &mut Build<'_>, at: &Field<'_>, Period(duration): Period) -> Duration {
    if duration.is_zero() {
        build.report.fault(at, Fault::new("must be longer than 0"));
    }
    duration
}

/// Where the keys come from.
pub(crate) fn secret(
    build: &mut Build<'_>,
    reference: Option<&Reference>,
    directories: &Directories,
    siblings: &Siblings,
) -> Option<SecretSource> {
    let at = Field::Root.key("secret");
    let Some(reference) = reference else {
        if siblings.broker.is_some() || siblings.authn.is_some() {
            let fault = Fault::new("services on several hosts need the same `secret`");
            build.report.fault(
                &Field::Root.key("siblings"),
                fault.help("write `secret: {file: PATH}`; `portcullis keys` makes one"),
            );
        }
        return Some(SecretSource::StateFile(directories.state.join("secret")));
    };
    build.secret_text(&at, reference).map(|found| SecretSource::Text(SecretText::new(found.text.as_str())))
}

/// The proxies' copy of the sessions.
pub(crate) fn replica(build: &mut Build<'_>, section: &ReplicaSection) -> ReplicaLimits {
    let ReplicaSection { max_bytes, max_staleness } = section;
    let at = Field::Root.key("replica");
    if max_bytes.0 < 1 << 20 {
        build.report.fault(&at.key("max_bytes"), Fault::new("must be at least 1MiB"));
    }
    ReplicaLimits { max_bytes: max_bytes.0, max_staleness: positive(build, &at.key("max_staleness"), *max_staleness) }
}

/// The broker's store.
pub(crate) fn storage(build: &Build<'_>, section: StorageSection, directories: &Directories) -> Storage {
    let StorageSection { engine, path } = section;
    match engine {
        EngineName::Embedded => Storage::Embedded {
            path: path.map_or_else(|| directories.state.join("sessions.redb"), |path| build.resolve(&path)),
        },
    }
}

/// Deadlines and caps.
pub(crate) fn limits(build: &mut Build<'_>, section: LimitsSection, drain: &DrainSection) -> Limits {
    let LimitsSection {
        handshake,
        head,
        body_progress,
        client_write,
        connections,
        connections_per_prefix,
        sign_ins_per_prefix,
        header_fields,
        head_bytes,
        trusted_proxies,
    } = section;
    let at = Field::Root.key("limits");
    let at_least = [
        ("connections", connections, 1),
        ("connections_per_prefix", connections_per_prefix, 1),
        ("header_fields", header_fields, 10),
        ("head_bytes", head_bytes.0, 1024),
    ];
    for (name, given, least) in at_least {
        if given < least {
            build.report.fault(&at.key(name), Fault::new(format!("must be at least {least}")));
        }
    }
    if sign_ins_per_prefix == 0 {
        build.report.fault(&at.key("sign_ins_per_prefix"), Fault::new("must be at least 1"));
    }
    let list = at.key("trusted_proxies");
    let mut networks = Vec::new();
    for (index, text) in trusted_proxies.iter().enumerate() {
        let network = build.report.take(&list.index(index), network(text));
        networks.extend(network);
    }
    Limits {
        handshake: positive(build, &at.key("handshake"), handshake),
        head: positive(build, &at.key("head"), head),
        body_progress: positive(build, &at.key("body_progress"), body_progress),
        client_write: positive(build, &at.key("client_write"), client_write),
        connections,
        connections_per_prefix,
        sign_ins_per_prefix,
        header_fields,
        head_bytes: head_bytes.0,
        trusted_proxies: networks,
        drain: drained(drain),
    }
}

/// A network without host bits, or one address.
fn network(text: &str) -> Result<IpNet, Fault> {
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let network = network.ok_or_else(|| Fault::new(format!("`{text}` is neither a network nor an address")))?;
    // Host bits mean that somebody had another network in mind than the one they get.
    if network.addr() != network.network() {
        let help = format!("write {} or {}", network.trunc(), network.addr());
        return Err(Fault::new(format!("`{text}` has bits beyond its prefix")).help(help));
    }
    if network.prefix_len() == 0 {
        return Err(Fault::new(format!("`{text}` believes everybody")).help("name the proxies' own addresses"));
    }
    Ok(network)
}

fn drained(section: &DrainSection) -> Drain {
    let DrainSection { delay, timeout, h2 } = section;
    Drain { delay: delay.0, timeout: timeout.0, h2: h2.0 }
}

/// Logs.
pub(crate) fn telemetry(build: &mut Build<'_>, section: TelemetrySection) -> Telemetry {
    let TelemetrySection { log } = section;
    if log.trim().is_empty() {
        let fault = Fault::new("is empty").help("write a level such as `info`, or `off`");
        build.report.fault(&Field::Root.key("telemetry").key("log"), fault);
    }
    Telemetry { log }
}

/// Decision records.
pub(crate) fn decisions(build: &mut Build<'_>, section: DecisionsSection) -> Decisions {
    let DecisionsSection { ring, sink } = section;
    if !(1..=MAX_DECISIONS).contains(&ring) {
        let fault = Fault::new(format!("must be between 1 and {MAX_DECISIONS}"));
        build.report.fault(&Field::Root.key("decisions").key("ring"), fault);
    }
    let sink = sink.map(|SinkSection { file }| {
        if file.as_os_str().is_empty() {
            let section = Field::Root.key("decisions");
            build.report.fault(&section.key("sink").key("file"), Fault::new("is empty"));
        }
        build.resolve(&file)
    });
    Decisions { ring, sink }
}
