//! Whether a system does what it is measured for: pages whole with a credential, no page without.

use std::io;

use http::StatusCode;

use super::entrant::{Credential, Entrant};
use super::nginx::LARGE;

/// Asks for both pages with the credential, and for one without.
///
/// # Errors
/// What the system did instead.
pub async fn check(entrant: &Entrant, authority: &str) -> io::Result<()> {
    let roots = reqwest::Certificate::from_pem_bundle(authority.as_bytes()).map_err(io::Error::other)?;
    let client = reqwest::Client::builder()
        .tls_certs_only(roots)
        .redirect(reqwest::redirect::Policy::none())
        .resolve(entrant.host, entrant.tls)
        .no_proxy()
        .build()
        .map_err(io::Error::other)?;
    let address = |path: &str| format!("https://{}:{}{path}", entrant.host, entrant.tls.port());
    for (path, length) in [("/page", 1024), ("/large", LARGE)] {
        let mut request = client.get(address(path));
        for (name, value) in &entrant.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.map_err(io::Error::other)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(io::Error::other)?;
        if status != StatusCode::OK || body.len() != length {
            return Err(io::Error::other(format!("{path} is answered with {status} and {} bytes", body.len())));
        }
    }
    let anybody = client.get(address("/page")).send().await.map_err(io::Error::other)?;
    let open = anybody.status() == StatusCode::OK;
    match entrant.credential {
        Credential::Session(_) | Credential::Token if open => Err(io::Error::other("it answers without a credential")),
        Credential::Nothing if !open => Err(io::Error::other(format!("a page for all has {}", anybody.status()))),
        Credential::Session(_) | Credential::Token | Credential::Nothing => Ok(()),
    }
}
