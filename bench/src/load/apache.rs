//! Apache with mod_auth_openidc: as the proxy itself, and as the sidecar that other proxies ask.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::nginx::Sidecar;
use super::system::{CHECKED_HOST, EMAIL, Ground, Running, SOCKET_PATH, free_address, start};

/// Where Debian's packages put modules.
const MODULES: &str = "/usr/lib/apache2/modules";
/// What both roles load; log and unixd are built in.
const ALWAYS: [&str; 7] =
    ["mpm_event", "authn_core", "authz_core", "authz_user", "headers", "socache_shmcb", "auth_openidc"];
/// What a proxy with TLS loads besides.
const OF_THE_PROXY: [&str; 5] = ["ssl", "http2", "proxy", "proxy_http", "proxy_wstunnel"];

/// The client registration that a system has at the provider.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// `client_id`.
    pub client: &'a str,
    /// `client_secret`.
    pub secret: &'a str,
}

/// The path of the callback, below [`OWN`].
pub const CALLBACK: &str = "/oidc/callback";
/// What the sidecar answers itself begins with this.
pub const OWN: &str = "/oidc/";
/// A page below [`OWN`] that asks for a sign-in.
pub const SIGN_IN: &str = "/oidc/sign-in";

/// Apache as reverse proxy: session in its shared cache (the default), one claim rule, claims as headers.
///
/// # Errors
/// As [`start`].
pub fn proxy(ground: &Ground, cpu: usize, listen: SocketAddr, who: Registration<'_>) -> io::Result<Running> {
    let folder = ground.folder_of("apache")?;
    let Ground { certificate, key, origin, socket, .. } = ground;
    let text = format!(
        "{}{}\
         Protocols h2 http/1.1\nSSLEngine on\nSSLProtocol TLSv1.3\nSSLCertificateFile {}\nSSLCertificateKeyFile {}\n\
         SSLSessionCache shmcb:{}/ssl(512000)\n\
         <Location />\nAuthType openid-connect\nRequire claim email:{EMAIL}\n</Location>\n\
         ProxyPass {CALLBACK} !\n\
         ProxyPass {SOCKET_PATH} http://{socket}{SOCKET_PATH} upgrade=websocket\n\
         ProxyPass / http://{origin}/ keepalive=On\n",
        head(&folder, listen, listen.port(), &[&ALWAYS[..], &OF_THE_PROXY[..]].concat()),
        relying_party(who, listen.port()),
        certificate.display(),
        key.display(),
        folder.display()
    );
    run(&folder, cpu, listen, &text)
}

/// Apache beside the proxy that listens on `public_port`: `/check` answers 200 with the e-mail address for a session
/// that meets the rule and 401 else; sign-in and callback lie below [`OWN`].
///
/// # Errors
/// As [`start`].
pub fn sidecar(ground: &Ground, cpu: usize, public_port: u16, who: Registration<'_>) -> io::Result<(Running, Sidecar)> {
    let listen = free_address()?;
    let folder = ground.folder_of(&format!("apache-sidecar-{public_port}"))?;
    let pages = folder.join("pages");
    fs::create_dir_all(pages.join("oidc"))?;
    fs::write(pages.join("check"), "")?;
    fs::write(pages.join("oidc/sign-in"), "signed in\n")?;
    let text = format!(
        "{}{}\
         OIDCXForwardedHeaders X-Forwarded-Host X-Forwarded-Proto\n\
         AcceptPathInfo On\nDocumentRoot {}\n\
         <Location />\nAuthType openid-connect\nRequire claim email:{EMAIL}\n</Location>\n\
         <Location /check>\nOIDCUnAuthAction 401\nHeader always set X-Email %{{OIDC_CLAIM_email}}e\n</Location>\n",
        head(&folder, listen, public_port, &ALWAYS),
        relying_party(who, public_port),
        pages.display()
    );
    let running = run(&folder, cpu, listen, &text)?;
    Ok((running, Sidecar { address: listen, check: "/check", own: OWN, email: "x_email" }))
}

fn head(folder: &Path, listen: SocketAddr, public_port: u16, modules: &[&str]) -> String {
    let place = folder.display();
    let loads: String =
        modules.iter().map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n")).collect();
    // One process, as the others have one worker; its threads are what Apache has instead of an event
    // loop, more of them than there are ever requests at one time.
    format!(
        "ServerRoot {place}\nPidFile {place}/pid\nErrorLog /dev/stderr\nLogLevel error\nDefaultRuntimeDir {place}\n\
         Listen {listen}\nServerName https://{CHECKED_HOST}:{public_port}\n{loads}\
         <IfModule unixd_module>\nUser www-data\nGroup www-data\n</IfModule>\n\
         ServerLimit 1\nStartServers 1\nThreadsPerChild 384\nThreadLimit 384\nMaxRequestWorkers 384\n\
         MinSpareThreads 384\nMaxSpareThreads 384\n\
         KeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60\n<Directory />\nRequire all granted\n</Directory>\n"
    )
}

fn relying_party(who: Registration<'_>, public_port: u16) -> String {
    let Registration { issuer, client, secret } = who;
    format!(
        "OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration\n\
         OIDCClientID {client}\nOIDCClientSecret {secret}\nOIDCPKCEMethod S256\n\
         OIDCRedirectURI https://{CHECKED_HOST}:{public_port}{CALLBACK}\n\
         OIDCCryptoPassphrase of-the-yardstick\nOIDCScope \"openid email profile\"\n"
    )
}

fn run(folder: &Path, cpu: usize, listen: SocketAddr, text: &str) -> io::Result<Running> {
    let file: PathBuf = folder.join("apache.conf");
    fs::write(&file, text)?;
    let arguments = ["-D", "FOREGROUND", "-f", &file.display().to_string()].map(str::to_owned);
    start(cpu, Path::new("apache2"), &arguments, listen)
}
