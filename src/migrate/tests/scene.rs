//! A folder with the files that configurations refer to. `@` in a text is that folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_config::{Config, Environment, from_text};

use crate::migrate::findings::Weight;
use crate::migrate::secrets::{self, Existing};
use crate::migrate::{MigrateError, Migrated, Source, convert};

#[derive(Debug)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Environment for Variables {
    fn var(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

#[derive(Debug)]
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    pub(crate) variables: Variables,
    /// A certificate, its key, and a P-256 key, as PEM.
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state").display().to_string();
        let variables = Variables([("STATE_DIRECTORY".to_owned(), state)].into());
        let made = rcgen::generate_simple_self_signed(["*.corp.test".to_owned()]).unwrap();
        let scene = Self { folder, variables, certificate: made.cert.pem(), key: made.signing_key.serialize_pem() };
        for (name, text) in [
            ("site.pem", scene.certificate.as_str()),
            ("ca.pem", &scene.certificate),
            ("site.key", &scene.key),
            ("signing.pem", &scene.key),
            ("idp", "a secret of the provider\n"),
            ("emails", "ada@corp.test\n# nobody\ngrace@corp.test\n"),
        ] {
            scene.write(name, text);
        }
        scene
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn try_convert(&self, files: &[(&str, &str)]) -> Result<Migrated, MigrateError> {
        let folder = self.folder().display().to_string();
        let source = |(name, text): &(&str, &str)| Source {
            name: (*name).into(),
            text: text.replace("@/", &format!("{folder}/")),
        };
        convert(&files.iter().map(source).collect::<Vec<_>>(), &self.folder().join("secrets"))
    }

    pub(crate) fn convert(&self, text: &str) -> Migrated {
        self.try_convert(&[("p.yaml", text)]).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// The configuration, which must load once the secrets are where they are to be.
    pub(crate) fn loads(&self, made: &Migrated) -> std::sync::Arc<Config> {
        secrets::write(&made.secrets, Existing::Replace).unwrap();
        let loaded = from_text(&made.text, "made.yaml", self.folder(), &self.variables);
        loaded.unwrap_or_else(|error| panic!("{error}\n{}", made.text)).config
    }
}

/// The findings of a weight, as `line:column key`.
pub(crate) fn keys(made: &Migrated, weight: Weight) -> Vec<String> {
    let found = made.findings.iter().filter(|finding| finding.weight == weight);
    found
        .map(|finding| match &finding.place {
            Some(place) => format!("{}:{} {}", place.line, place.column, finding.key),
            None => finding.key.clone(),
        })
        .collect()
}
