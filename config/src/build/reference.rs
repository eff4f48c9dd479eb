//! Values that stand elsewhere: files, environment variables, systemd credentials. A value that is not there
//! or is empty is an error, never "no value".

use std::path::{Path, PathBuf};

use portcullis_identity::SecretText;
use zeroize::Zeroizing;

use super::Build;
use crate::digest::sha256;
use crate::field::Field;
use crate::pem;
use crate::report::Fault;
use crate::schema::{PemFile, PemText, Reference};

/// A text, and where it came from, for messages.
#[derive(Debug)]
pub(crate) struct Found {
    /// The text as it stands there.
    pub(crate) text: Zeroizing<String>,
    /// The file; the configuration itself for what stands in it, a pseudo path for a variable.
    pub(crate) origin: PathBuf,
}

impl Build<'_> {
    /// A referenced secret without white space around it.
    pub(crate) fn secret(&mut self, at: &Field<'_>, reference: &Reference) -> Option<SecretText> {
        let found = self.secret_text(at, reference)?;
        Some(SecretText::new(found.text.trim()))
    }

    /// A referenced secret as it stands; warns if everybody may read its file.
    pub(crate) fn secret_text(&mut self, at: &Field<'_>, reference: &Reference) -> Option<Found> {
        let found = self.referenced(at, reference)?;
        if self.files.is_public(&found.origin) {
            let message = format!("{} can be read by every user of this machine", found.origin.display());
            self.report.warn(at, message, Some("chmod o-r"));
        }
        Some(found)
    }

    /// A text that is PEM: as it stands, in base64, or referenced.
    pub(crate) fn pem(&mut self, at: &Field<'_>, text: &PemText) -> Option<Found> {
        match text {
            PemText::Inline(text) if text.trim().is_empty() => self.report.take(at, Err(Fault::new("is empty"))),
            PemText::Inline(text) => {
                let origin = PathBuf::from(self.report.file());
                Some(Found { text: pem::unwrap_base64(text).into(), origin })
            }
            PemText::Reference(reference) => {
                let Found { text, origin } = self.referenced(at, reference)?;
                Some(Found { text: pem::unwrap_base64(&text).into(), origin })
            }
        }
    }

    /// A PEM text in a file of its own.
    pub(crate) fn pem_file(&mut self, at: &Field<'_>, PemFile(reference): &PemFile) -> Option<Found> {
        self.referenced(at, reference)
    }

    /// A path of the file, relative to the file's folder.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    fn referenced(&mut self, at: &Field<'_>, reference: &Reference) -> Option<Found> {
        match reference {
            Reference::File(path) => self.file(&at.key("file"), self.resolve(path)),
            Reference::Env(name) => {
                let value = self.environment.var(name).map(Zeroizing::new);
                let found = match value {
                    Some(text) if text.trim().is_empty() => {
                        Err(Fault::new(format!("the environment variable {name} is empty")))
                    }
                    Some(text) => Ok(Found { text, origin: PathBuf::from(format!("${name}")) }),
                    None => Err(Fault::new(format!("the environment variable {name} is not set"))),
                };
                if let Ok(found) = &found {
                    self.variables.insert(name.clone(), sha256(found.text.as_bytes()));
                }
                self.report.take(&at.key("env"), found)
            }
            Reference::Credential(name) => {
                let at = at.key("credential");
                if name.is_empty() || name.contains('/') || name.starts_with('.') {
                    return self.report.take(&at, Err(Fault::new(format!("`{name}` is not the name of a credential"))));
                }
                let folder = self.environment.credentials_directory().ok_or_else(|| {
                    Fault::new("this process has no systemd credentials").help("LoadCredential= in the unit gives them")
                });
                let folder = self.report.take(&at, folder)?;
                self.file(&at, folder.join(name))
            }
        }
    }

    /// A referenced file's text.
    pub(crate) fn file(&mut self, at: &Field<'_>, path: PathBuf) -> Option<Found> {
        let text = self.files.text(&path).map_err(|error| Fault::new(format!("{} {error}", path.display())));
        let text = self.report.take(at, text)?;
        Some(Found { text, origin: path })
    }
}
