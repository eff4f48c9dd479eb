//! Client certificates: whose are believed, by all routes or by one.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_identity::Timestamp;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::CertRevocationList;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::reference::Found;
use super::upstream_tls::one_of;
use super::{Build, rewrite};
use crate::client_trust::{ClientTrust, DownstreamMtls, Enforcement, NameKind, NamePattern, RevocationLists};
use crate::digest::Digester;
use crate::field::Field;
use crate::pem;
use crate::report::Fault;
use crate::route::Route;
use crate::schema::{DownstreamMtlsSection, EnforcementName, NameEntry, PemText};

/// The longest expression of a name.
const MAX_NAME_EXPRESSION: usize = 4096;

/// What clients must meet on every host, and what routes add their own roots to.
#[derive(Debug)]
pub(crate) struct Clients {
    /// As routes without roots of their own see it.
    pub(crate) mtls: DownstreamMtls,
    constraints: Constraints,
    /// A key that means nothing without roots.
    restricts: Option<&'static str>,
}

/// What a certificate must meet beside its root.
#[derive(Debug)]
struct Constraints {
    revoked: Arc<[CertRevocationList<'static>]>,
    names: Arc<[NamePattern]>,
    max_depth: Option<NonZeroU32>,
    digest: [u8; 32],
}

/// The section of the file.
pub(crate) fn clients(build: &mut Build<'_>, section: DownstreamMtlsSection) -> Clients {
    let DownstreamMtlsSection { ca, ca_file, crl, crl_file, enforcement, match_subject_alt_names, max_verify_depth } =
        section;
    let at = Field::Root.key("downstream_mtls");
    let restricts = [
        ("crl", crl.is_some()),
        ("crl_file", crl_file.is_some()),
        ("match_subject_alt_names", !match_subject_alt_names.is_empty()),
        ("enforcement", enforcement != EnforcementName::PolicyWithDefaultDeny),
    ];
    let restricts = restricts.into_iter().find(|(_, given)| *given).map(|(key, _)| key);
    let mut digest = Digester::new();
    let (revoked, revocations) = revoked(build, &at, (crl, crl_file), &mut digest);
    let names = names(build, &at.key("match_subject_alt_names"), &match_subject_alt_names, &mut digest);
    digest.part(&max_verify_depth.to_be_bytes());
    let constraints = Constraints {
        revoked: revoked.into(),
        names: names.into(),
        max_depth: NonZeroU32::new(max_verify_depth),
        digest: digest.finish(),
    };
    let trust = trust(build, &at, ["ca", "ca_file"], (ca, ca_file), &constraints);
    let enforcement = match enforcement {
        EnforcementName::PolicyWithDefaultDeny => Enforcement::PolicyWithDefaultDeny,
        EnforcementName::Policy => Enforcement::Policy,
        EnforcementName::RejectConnection => Enforcement::RejectConnection,
    };
    Clients { mtls: DownstreamMtls { trust, enforcement, revocations }, constraints, restricts }
}

impl Clients {
    /// What clients must meet on a route: its own roots, else those of all.
    pub(crate) fn of_route(
        &self,
        build: &mut Build<'_>,
        at: &Field<'_>,
        own: (Option<PemText>, Option<PathBuf>),
    ) -> Option<Arc<ClientTrust>> {
        const KEYS: [&str; 2] = ["tls_downstream_client_ca", "tls_downstream_client_ca_file"];
        if own.0.is_none() && own.1.is_none() {
            return self.mtls.trust.clone();
        }
        let key = if own.0.is_some() { KEYS[0] } else { KEYS[1] };
        let help = "write `downstream_mtls.ca_file`, and `client_certificate` in the policy of this route";
        build.report.warn(&at.key(key), "roots of one route's clients are an older way", Some(help));
        trust(build, at, KEYS, own, &self.constraints)
    }

    /// Something that should restrict clients and cannot: nobody is asked for a certificate.
    pub(crate) fn look_for_roots(&self, build: &mut Build<'_>, routes: &[Route]) {
        let Some(key) = self.restricts else { return };
        if self.mtls.trust.is_none() && routes.iter().all(|route| route.client_trust.is_none()) {
            let fault = Fault::new("has no effect: without `ca` no client is asked for a certificate");
            let section = Field::Root.key("downstream_mtls");
            build.report.fault(&section.key(key), fault.help("write `ca_file: PATH` beside it"));
        }
    }
}

/// Roots with everything beside them; `None` without roots, and where something is wrong.
fn trust(
    build: &mut Build<'_>,
    at: &Field<'_>,
    keys: [&str; 2],
    given: (Option<PemText>, Option<PathBuf>),
    constraints: &Constraints,
) -> Option<Arc<ClientTrust>> {
    let key = if given.1.is_some() { keys[1] } else { keys[0] };
    let found = one_of(build, at, keys, given).ok()??;
    let read = roots(&found).map_err(|error| Fault::new(format!("{}: {error}", found.origin.display())));
    let certificates = build.report.take(&at.key(key), read)?;
    let mut digest = Digester::new();
    digest.part(&constraints.digest);
    let mut roots = Vec::with_capacity(certificates.len());
    for certificate in &certificates {
        digest.part(certificate);
        let anchor = webpki::anchor_from_trusted_cert(certificate).map(|anchor| anchor.to_owned());
        let anchor = anchor.map_err(|error| Fault::new(format!("{}: {error}", found.origin.display())));
        roots.push(build.report.take(&at.key(key), anchor)?);
    }
    let Constraints { revoked, names, max_depth, digest: _ } = constraints;
    Some(Arc::new(ClientTrust {
        roots,
        revoked: Arc::clone(revoked),
        names: Arc::clone(names),
        max_depth: *max_depth,
        digest: digest.finish(),
    }))
}

fn roots(found: &Found) -> Result<Vec<CertificateDer<'static>>, pem::PemError> {
    pem::certificates(&found.text)
}

/// Every list of revoked certificates. A list that cannot be read is an error, never "nothing is revoked".
fn revoked(
    build: &mut Build<'_>,
    at: &Field<'_>,
    given: (Option<PemText>, Option<PathBuf>),
    digest: &mut Digester,
) -> (Vec<CertRevocationList<'static>>, Option<RevocationLists>) {
    let key = if given.1.is_some() { "crl_file" } else { "crl" };
    let Ok(Some(found)) = one_of(build, at, ["crl", "crl_file"], given) else { return Default::default() };
    let fault = |error: &dyn std::fmt::Display| Fault::new(format!("{}: {error}", found.origin.display()));
    let lists: Result<Vec<CertificateRevocationListDer<'static>>, _> = pem::revocation_lists(&found.text);
    let Some(lists) = build.report.take(&at.key(key), lists.map_err(|error| fault(&error))) else {
        return Default::default();
    };
    let mut read = Vec::with_capacity(lists.len());
    for list in &lists {
        digest.part(list);
        let owned = webpki::OwnedCertRevocationList::from_der(list);
        let owned = owned.map_err(|error| fault(&error).help("a complete list of one issuer, version 2, is taken"));
        read.extend(build.report.take(&at.key(key), owned).map(CertRevocationList::from));
    }
    let first = lists.iter().filter_map(next_update).min();
    let revocations = first.map(|next_update| RevocationLists { origin: found.origin.clone(), next_update });
    (read, revocations)
}

/// When a list is due to be replaced.
fn next_update(list: &CertificateRevocationListDer<'static>) -> Option<Timestamp> {
    let (_rest, parsed) = CertificateRevocationList::from_der(list).ok()?;
    parsed.next_update().map(|due| Timestamp::from_unix_seconds(due.timestamp()))
}

fn names(build: &mut Build<'_>, list: &Field<'_>, entries: &[NameEntry], digest: &mut Digester) -> Vec<NamePattern> {
    let mut patterns = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let at = list.index(index);
        let NameEntry { dns, email, ip_address, uri, user_principal_name } = entry;
        let kinds = [
            ("dns", NameKind::Dns, dns),
            ("email", NameKind::Email, email),
            ("ip_address", NameKind::IpAddress, ip_address),
            ("uri", NameKind::Uri, uri),
            ("user_principal_name", NameKind::UserPrincipalName, user_principal_name),
        ];
        let mut given = kinds.into_iter().filter_map(|(key, kind, text)| Some((key, kind, text.as_deref()?)));
        let (Some((key, kind, text)), None) = (given.next(), given.next()) else {
            let fault =
                Fault::new("a name has exactly one of `dns`, `email`, `ip_address`, `uri`, `user_principal_name`");
            build.report.fault(&at, fault);
            continue;
        };
        digest.part(key.as_bytes()).part(text.as_bytes());
        let whole = format!("^(?:{text})$");
        let expression = if text.len() > MAX_NAME_EXPRESSION {
            Err(Fault::new(format!("has more than {MAX_NAME_EXPRESSION} bytes (MAX_NAME_EXPRESSION)")))
        } else {
            rewrite::expression(&whole, text)
        };
        let expression = build.report.take(&at.key(key), expression);
        patterns.extend(expression.map(|expression| NamePattern { kind, expression }));
    }
    patterns
}
