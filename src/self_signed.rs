//! The certificate of an installation that has none yet: made for the names of the configuration, kept in the state
//! directory so that a browser's exception outlives a restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_config::{Certificate, Config, HostPattern};
use portcullis_identity::Timestamp;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::secret_file;

/// How long it is valid: browsers refuse more than about 13 months from a public authority; ours is none, but the
/// habit is a good one.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(397 * 86_400);
/// Made anew when this little is left.
const RENEW_BEFORE: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelfSignedError {
    /// The state directory refuses it.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The library refused a name or a key.
    #[error("a self-signed certificate could not be made")]
    Rejected(#[from] rcgen::Error),
    /// What the state directory holds is not what we put there.
    #[error("{}: not the certificate and key that were written there; remove it to get new ones", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
}

/// The self-signed certificate for the names of `config`, from `folder` if it still fits, else made and kept there.
///
/// # Errors
/// See [`SelfSignedError`].
pub(crate) fn for_names_of(config: &Config, folder: &Path, now: Timestamp) -> Result<Certificate, SelfSignedError> {
    let path = folder.join("self-signed.pem");
    let header = description(&names_of(config), now);
    if let Some(text) = read(&path)? {
        let fits = text.lines().next().is_some_and(|line| still_fits(line, &header.names, now));
        if fits {
            return parse(&text, &path);
        }
        fs::remove_file(&path).map_err(|source| SelfSignedError::File { path: path.clone(), source })?;
    }
    let text = make(&header, now)?;
    secret_file::write_new(&path, text.as_bytes())
        .map_err(|source| SelfSignedError::File { path: path.clone(), source })?;
    tracing::info!(path = %path.display(), "made a self-signed certificate");
    parse(&text, &path)
}

/// What the first line of the file says: until when, and for which names.
struct Description {
    names: Vec<String>,
    until: Timestamp,
}

fn description(names: &[String], now: Timestamp) -> Description {
    Description { names: names.to_vec(), until: now.saturating_add(LIFETIME) }
}

fn still_fits(line: &str, names: &[String], now: Timestamp) -> bool {
    let mut words = line.trim_start_matches("# ").split_whitespace();
    let until = words.next().and_then(|word| word.parse().ok()).map(Timestamp::from_unix_seconds);
    let fresh = until.is_some_and(|until| until.since(now) > RENEW_BEFORE);
    fresh && words.eq(names.iter().map(String::as_str))
}

/// Every host of the configuration, sorted; wildcards that TLS knows (`*.corp.test`) as they are.
fn names_of(config: &Config) -> Vec<String> {
    let routes = config.routes.iter().map(|route| match &route.host {
        HostPattern::Exact(host) | HostPattern::Wildcard(host) => host.to_string(),
    });
    let mut names: Vec<_> = routes.chain([config.sign_in.host.to_string()]).filter(|name| fits_in_tls(name)).collect();
    names.sort();
    names.dedup();
    names
}

fn fits_in_tls(name: &str) -> bool {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    !rest.is_empty() && !rest.contains('*')
}

fn make(description: &Description, now: Timestamp) -> Result<String, SelfSignedError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(description.names.clone())?;
    params.distinguished_name.push(DnType::CommonName, "Portcullis self-signed");
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before =
        epoch + std::time::Duration::from_secs(seconds(now.saturating_sub(std::time::Duration::from_secs(3600))));
    params.not_after = epoch + std::time::Duration::from_secs(seconds(description.until));
    let certificate = params.self_signed(&key)?;
    let Description { names, until } = description;
    Ok(format!("# {} {}\n{}{}", until.unix_seconds(), names.join(" "), certificate.pem(), key.serialize_pem()))
}

fn seconds(instant: Timestamp) -> u64 {
    u64::try_from(instant.unix_seconds()).unwrap_or(0)
}

fn read(path: &Path) -> Result<Option<String>, SelfSignedError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SelfSignedError::File { path: path.to_owned(), source }),
    }
}

fn parse(text: &str, path: &Path) -> Result<Certificate, SelfSignedError> {
    let unreadable = |source| SelfSignedError::Unreadable { path: path.to_owned(), source };
    let certificate = CertificateDer::from_pem_slice(text.as_bytes()).map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(unreadable)?;
    Ok(Certificate { chain: vec![certificate], key, origin: path.to_owned() })
}

#[cfg(test)]
mod tests;
