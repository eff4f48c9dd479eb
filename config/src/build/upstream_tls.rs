//! TLS to upstreams: whom we believe, and whom they should believe us to be.

use std::path::PathBuf;

use super::Build;
use super::reference::Found;
use crate::digest::Digester;
use crate::field::Field;
use crate::pem;
use crate::report::Fault;
use crate::route::UpstreamTls;
use crate::schema::{PemText, Reference};

/// The keys of TLS to the upstream.
#[derive(Debug)]
pub(crate) struct TlsKeys {
    pub(crate) skip_verify: bool,
    pub(crate) server_name: Option<String>,
    pub(crate) upstream_server_name: Option<String>,
    pub(crate) custom_ca: Option<PemText>,
    pub(crate) custom_ca_file: Option<PathBuf>,
    pub(crate) client_cert: Option<PemText>,
    pub(crate) client_cert_file: Option<PathBuf>,
    pub(crate) client_key: Option<Reference>,
    pub(crate) client_key_file: Option<PathBuf>,
}

impl TlsKeys {
    /// Each key, and whether the file gives it.
    pub(crate) fn given(&self) -> [(&'static str, bool); 9] {
        let Self {
            skip_verify,
            server_name,
            upstream_server_name,
            custom_ca,
            custom_ca_file,
            client_cert,
            client_cert_file,
            client_key,
            client_key_file,
        } = self;
        [
            ("tls_skip_verify", *skip_verify),
            ("tls_server_name", server_name.is_some()),
            ("tls_upstream_server_name", upstream_server_name.is_some()),
            ("tls_custom_ca", custom_ca.is_some()),
            ("tls_custom_ca_file", custom_ca_file.is_some()),
            ("tls_client_cert", client_cert.is_some()),
            ("tls_client_cert_file", client_cert_file.is_some()),
            ("tls_client_key", client_key.is_some()),
            ("tls_client_key_file", client_key_file.is_some()),
        ]
    }
}

/// TLS to the upstreams of a route; `secure`: one of them speaks it.
pub(crate) fn tls(build: &mut Build<'_>, at: &Field<'_>, keys: TlsKeys, secure: bool) -> Option<UpstreamTls> {
    if !secure && let Some((key, _)) = keys.given().into_iter().find(|(_, given)| *given) {
        build.report.warn(&at.key(key), "has no effect: no upstream speaks https", None);
    }
    let TlsKeys {
        skip_verify,
        server_name,
        upstream_server_name,
        custom_ca,
        custom_ca_file,
        client_cert,
        client_cert_file,
        client_key,
        client_key_file,
    } = keys;
    let ca_key = if custom_ca_file.is_some() { "tls_custom_ca_file" } else { "tls_custom_ca" };
    let ca = one_of(build, at, ["tls_custom_ca", "tls_custom_ca_file"], (custom_ca, custom_ca_file)).ok()?;
    let certificate =
        one_of(build, at, ["tls_client_cert", "tls_client_cert_file"], (client_cert, client_cert_file)).ok()?;
    let key = client_key.map(PemText::Reference);
    let key = one_of(build, at, ["tls_client_key", "tls_client_key_file"], (key, client_key_file)).ok()?;
    if skip_verify && ca.is_some() {
        build.report.fault(&at.key(ca_key), Fault::new("contradicts `tls_skip_verify`"));
    } else if skip_verify && secure {
        let help = "`tls_custom_ca_file` believes a private CA, `tls_server_name` another name";
        build.report.warn(
            &at.key("tls_skip_verify"),
            "the upstream's certificate is not checked: anybody on the way can answer",
            Some(help),
        );
    }
    let ca = match ca {
        Some(found) => {
            let read = pem::certificates(&found.text)
                .map_err(|error| Fault::new(format!("{}: {error}", found.origin.display())));
            build.report.take(&at.key(ca_key), read)?
        }
        None => Vec::new(),
    };
    let (name_key, name) = match upstream_server_name {
        Some(name) => ("tls_upstream_server_name", Some(name)),
        None => ("tls_server_name", server_name),
    };
    let server_name = match name {
        Some(name) => Some(build.report.take(&at.key(name_key), super::host::canonical(&name))?),
        None => None,
    };
    let client_certificate = match (certificate, key) {
        (Some(chain), Some(key)) => {
            let pair = pem::certificate(&chain.text, &key.text, chain.origin.clone());
            let pair =
                pair.map_err(|error| Fault::new(format!("client certificate {}: {error}", chain.origin.display())));
            Some(build.report.take(at, pair)?)
        }
        (None, None) => None,
        (Some(_), None) => {
            return build.report.take(at, Err(Fault::new("a client certificate needs `tls_client_key_file`")));
        }
        (None, Some(_)) => return build.report.take(at, Err(Fault::new("a client key needs `tls_client_cert_file`"))),
    };
    let mut tls = UpstreamTls { ca, server_name, skip_verify, client_certificate, digest: [0; 32] };
    tls.digest = tls_digest(&tls);
    Some(tls)
}

/// The text under one of two keys: in the file, or its file.
pub(super) fn one_of(
    build: &mut Build<'_>,
    at: &Field<'_>,
    [inline_key, file_key]: [&str; 2],
    given: (Option<PemText>, Option<PathBuf>),
) -> Result<Option<Found>, Reported> {
    match given {
        (None, None) => Ok(None),
        (Some(text), None) => build.pem(&at.key(inline_key), &text).map(Some).ok_or(Reported),
        (None, Some(path)) => {
            let path = build.resolve(&path);
            build.file(&at.key(file_key), path).map(Some).ok_or(Reported)
        }
        (Some(_), Some(_)) => {
            build.report.fault(&at.key(file_key), Fault::new(format!("contradicts `{inline_key}`")));
            Err(Reported)
        }
    }
}

/// Something is wrong, and the report says what.
pub(super) struct Reported;

/// Which connections may be shared.
fn tls_digest(tls: &UpstreamTls) -> [u8; 32] {
    let UpstreamTls { ca, server_name, skip_verify, client_certificate, digest: _ } = tls;
    let mut digest = Digester::new();
    digest.part(&[u8::from(*skip_verify)]).part(server_name.as_deref().unwrap_or_default().as_bytes());
    digest.part(&ca.len().to_be_bytes());
    for root in ca {
        digest.part(root);
    }
    // The key belongs to the leaf, so the chain names it.
    for link in client_certificate.iter().flat_map(|certificate| &certificate.chain) {
        digest.part(link);
    }
    digest.finish()
}
