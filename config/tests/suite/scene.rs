//! A folder with the files that configurations refer to, and an environment of its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_config::{Environment, LoadError, Loaded, Route, from_text};

/// Every secret that a scene plants: none may appear in what a load says.
pub(crate) const CANARY: &str = "canary-5f3b1c";

/// A sign-in host and a provider, on two lines: `routes:` follows on line 3.
pub(crate) const HEAD: &str = "sign_in: {host: auth.corp.test}\n\
    providers: {corp: {issuer: 'https://idp.corp.test', client_id: portcullis}}\n";

#[derive(Debug, Default)]
pub(crate) struct Variables(pub(crate) BTreeMap<String, String>);

impl Environment for Variables {
    fn var(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

#[derive(Debug)]
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    pub(crate) variables: Variables,
}

impl Scene {
    /// An empty folder.
    pub(crate) fn bare() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Variables::default() }
    }

    /// `idp`, `ring` (secrets), `empty`, `garbage`, and the certificates `wiki`, `other` and `ca` as `.pem` with `.key`.
    pub(crate) fn new() -> Self {
        let scene = Self::bare();
        scene.secret("idp", &format!("{CANARY}\n"));
        scene.secret("ring", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n");
        scene.secret("empty", "\n");
        scene.secret("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        for (name, host) in [("wiki", "wiki.corp.test"), ("other", "*.other.test"), ("ca", "ca.corp.test")] {
            let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
            scene.secret(&format!("{name}.pem"), &made.cert.pem());
            scene.secret(&format!("{name}.key"), &made.signing_key.serialize_pem());
        }
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file that only its owner may read.
    pub(crate) fn secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn load(&self, text: &str) -> Result<Loaded, LoadError> {
        from_text(text, "p.yaml", self.folder(), &self.variables)
    }

    pub(crate) fn loaded(&self, text: &str) -> Loaded {
        self.load(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
    }

    /// The problems as `line:column: field: message (help)`, one a line.
    pub(crate) fn refused(&self, text: &str) -> String {
        match self.load(text) {
            Ok(_) => panic!("taken:\n{text}"),
            Err(error) => error.to_string().lines().map(|line| line.replace("p.yaml:", "") + "\n").collect(),
        }
    }

    /// The one route of a configuration with a public policy and these lines.
    pub(crate) fn route(&self, lines: &str) -> std::sync::Arc<Route> {
        let loaded = self.loaded(&public(lines));
        std::sync::Arc::clone(&loaded.config.routes[0])
    }
}

/// A configuration with one public route for `https://wiki.corp.test`; `lines` are its further keys and
/// begin on line 4.
pub(crate) fn public(lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("routes:\n  - from: https://wiki.corp.test\n    allow_public_unauthenticated_access: true\n{indented}")
}

/// Looks at a whole table before it complains, so that one run shows every line that is wrong.
#[derive(Debug, Default)]
pub(crate) struct Table {
    wrong: Vec<String>,
}

impl Table {
    /// Refuses `bad` with a line that begins with `place` and contains `message`, without any secret; takes `good`.
    pub(crate) fn check(&mut self, scene: &Scene, (bad, place, message): (&str, &str, &str), good: &str) {
        let said = match scene.load(bad) {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.to_string().replace("p.yaml:", ""),
        };
        if !said.lines().any(|line| line.starts_with(place) && line.contains(message)) || said.contains(CANARY) {
            self.wrong.push(format!("--- {bad}wanted: {place}… {message}\ngot:    {said}"));
        }
        if let Err(error) = scene.load(good) {
            self.wrong.push(format!("--- {good}wanted: taken\ngot:    {error}"));
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        }
    }
}
