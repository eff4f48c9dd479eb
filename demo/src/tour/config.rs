//! What the demonstration writes to disk: a certificate of its own authority and the configuration.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::error::Unspecified;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::{CLIENT_SECRET_FILE, Demo, HELLO_HOST, SIGN_IN_HOST, VAULT_HOST};
use crate::site::hex;

/// The public listener's certificate and who signed it, all PEM.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) authority: String,
    pub(super) chain: String,
    pub(super) key: String,
}

impl Certificate {
    /// A new authority and a certificate of it for `names`. The authority's key is forgotten at once: what it
    /// signed stays all there is.
    pub(super) fn generate(names: &[&str]) -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "Portcullis demonstration");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate()?;
        let root = authority.self_signed(&authority_key)?;

        let mut leaf = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        leaf.distinguished_name.push(DnType::CommonName, "Portcullis demonstration: localhost");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_params(&authority, &authority_key);
        let chain = leaf.signed_by(&key, &issuer)?.pem();
        Ok(Self { authority: root.pem(), chain, key: key.serialize_pem() })
    }
}

/// A secret for the provider's client.
pub(super) fn client_secret() -> Result<String, Unspecified> {
    let mut bytes = [0_u8; 24];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// Writes a file that only its owner reads.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// The configuration.
pub(super) fn text(demo: &Demo, folder: &Path) -> String {
    let folder = folder.display();
    let (port, telemetry, issuer) = (demo.public_port, demo.telemetry, demo.provider.issuer());
    let (hello, vault) = (demo.hello.address(), demo.vault.address());
    format!(
        r#"# The configuration of `portcullis demo`. Edit it while it runs: it is read again at once.
directories: {{run_dir: "{folder}/run", state_dir: "{folder}/state"}}
listen:
  public: 127.0.0.1:{port}
  telemetry: {telemetry}
tls:
  certificates:
    - cert: {{file: "{folder}/tls.crt"}}
      key: {{file: "{folder}/tls.key"}}
sign_in: {{host: {SIGN_IN_HOST}}}
providers:
  demo:
    label: Demonstration provider
    issuer: {issuer}
    client_id: portcullis
    client_secret: {{file: "{folder}/{CLIENT_SECRET_FILE}"}}
    scopes: [openid, profile, email, groups]
assertion: {{claim_headers: [email, groups, name]}}
drain: {{delay: 0s, timeout: 5s, h2: 5s}}

routes:
  # Everybody who is signed in.
  - name: hello
    from: https://{HELLO_HOST}:{port}
    to: http://{hello}
    timeout: 0s
    pass_identity_headers: true
    policy: [{{allow: {{and: [{{authenticated_user: true}}]}}}}]

  # Administrators. Try `engineering` instead of `admins`, and bob is let in.
  - name: vault
    from: https://{VAULT_HOST}:{port}
    to: http://{vault}
    timeout: 0s
    pass_identity_headers: true
    show_error_details: true
    policy: [{{allow: {{and: [{{claim/groups: admins}}]}}}}]
"#
    )
}
