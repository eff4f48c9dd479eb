//! From the schema to the model: every reference is read, every name looked up, every default filled in.
//! Each function destructures what it converts, so that a new key cannot be forgotten here.

mod access;
mod action;
mod assertion;
mod client_trust;
mod headers;
mod health;
pub(crate) mod host;
mod path;
mod provider;
mod reference;
mod rewrite;
mod route;
mod section;
mod sign_in;
mod upstream;
mod upstream_tls;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub(crate) use access::Access;
pub use assertion::HEADERS_OF_CLIENTS;
pub(crate) use route::Draft;

use crate::environment::Environment;
use crate::field::Field;
use crate::files::Files;
use crate::model::{Config, Generation};
use crate::report::Report;
use crate::schema::{Document, ReadByPolicy};

/// What every conversion needs: where to complain, and where referenced values come from.
#[derive(Debug)]
pub(crate) struct Build<'a> {
    /// Where to complain.
    pub(crate) report: Report<'a>,
    /// The files that were read.
    pub(crate) files: Files,
    /// Variables and credentials.
    pub(crate) environment: &'a dyn Environment,
    /// What relative paths are relative to.
    pub(crate) base: &'a Path,
    /// Digests of what came from the environment, by variable.
    pub(crate) variables: BTreeMap<String, [u8; 32]>,
}

/// A file as far as serde and the policy language go.
#[derive(Debug)]
pub(crate) struct Parts {
    /// All but the routes.
    pub(crate) document: Document,
    /// The names of the providers, whether or not the rest of them could be read.
    pub(crate) providers: Vec<String>,
    /// The routes that could be read.
    pub(crate) drafts: Vec<Draft>,
}

/// Converts a whole file; its generation and warnings are still to be filled in. What is returned is good
/// only if the report is clean; `None` where not even that can be said.
pub(crate) fn config(build: &mut Build<'_>, parts: Parts) -> Option<Config> {
    let Parts { document, providers: provider_names, drafts } = parts;
    let Document {
        services,
        directories,
        listen,
        tls,
        downstream_mtls,
        sign_in,
        providers,
        session,
        cookie,
        namespace,
        secret,
        replica,
        storage,
        assertion,
        upstreams,
        limits,
        drain,
        telemetry,
        decisions,
        siblings,
        policies: ReadByPolicy,
        routes: _read_one_by_one,
    } = document;
    let services = section::services(build, services);
    let siblings = section::siblings(build, siblings);
    let directories = crate::directories::resolve(directories, build.base, build.environment);
    let listen = section::listen(build, listen, &services, &siblings);
    let sign_in = sign_in::sign_in(build, sign_in, cookie, namespace);
    let assertion = assertion::assertion(build, assertion, sign_in.namespace);
    let at = Field::Root.key("upstreams");
    let response_headers =
        headers::response_headers(build, &at.key("set_response_headers"), &upstreams.set_response_headers);
    let clients = client_trust::clients(build, downstream_mtls);
    let around = route::Surroundings {
        public_port: listen.public_port,
        ours: headers::Ours::new(sign_in.namespace, &assertion),
        upstreams: &upstreams,
        response_headers: &response_headers,
        providers: &provider_names,
        clients: &clients,
    };
    let routes = route::routes(build, drafts, &around);
    clients.look_for_roots(build, &routes);
    let providers = provider::providers(build, providers);
    let secret = section::secret(build, secret.as_ref(), &directories, &siblings)?;
    Some(Config {
        generation: Generation([0; 32]),
        tls: section::tls(build, tls),
        downstream_mtls: clients.mtls,
        session: section::session(build, &session),
        replica: section::replica(build, &replica),
        storage: section::storage(build, storage, &directories),
        limits: section::limits(build, limits, &drain),
        telemetry: section::telemetry(build, telemetry),
        decisions: section::decisions(build, decisions),
        services,
        directories,
        listen,
        sign_in,
        providers,
        secret,
        assertion,
        siblings,
        routes: routes.into_iter().map(Arc::new).collect(),
        warnings: Vec::new(),
    })
}
