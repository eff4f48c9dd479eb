//! oauth2-proxy as the sidecar that nginx asks: its session in a cookie, sealed.

use std::fs;
use std::io;
use std::path::Path;

use super::apache::Registration;
use super::nginx::Sidecar;
use super::system::{CHECKED_HOST, EMAIL, Ground, Running, free_address, start};

/// The path of its callback.
pub const CALLBACK: &str = "/oauth2/callback";
/// A page of its own that asks for a sign-in.
pub const SIGN_IN: &str = "/oauth2/start?rd=/page";

/// oauth2-proxy beside the proxy that listens on `public_port`.
///
/// # Errors
/// As [`start`].
pub fn sidecar(ground: &Ground, cpu: usize, public_port: u16, who: Registration<'_>) -> io::Result<(Running, Sidecar)> {
    let listen = free_address()?;
    let Registration { issuer, client, secret } = who;
    let folder = ground.folder_of("oauth2-proxy")?;
    let emails = folder.join("emails");
    fs::write(&emails, format!("{EMAIL}\n"))?;
    let arguments = [
        "--provider=oidc".to_owned(),
        format!("--oidc-issuer-url={issuer}"),
        format!("--client-id={client}"),
        format!("--client-secret={secret}"),
        "--code-challenge-method=S256".to_owned(),
        "--cookie-secret=0123456789abcdef0123456789abcdef".to_owned(),
        format!("--redirect-url=https://{CHECKED_HOST}:{public_port}{CALLBACK}"),
        format!("--authenticated-emails-file={}", emails.display()),
        format!("--http-address={listen}"),
        "--reverse-proxy=true".to_owned(),
        "--set-xauthrequest=true".to_owned(),
        "--upstream=static://202".to_owned(),
        "--request-logging=false".to_owned(),
        "--auth-logging=false".to_owned(),
    ];
    let running = start(cpu, Path::new("oauth2-proxy"), &arguments, listen)?;
    let sidecar = Sidecar { address: listen, check: "/oauth2/auth", own: "/oauth2/", email: "x_auth_request_email" };
    Ok((running, sidecar))
}
