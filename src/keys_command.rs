//! `portcullis keys`: make, look at and export the cluster secret. Prints secrets only where that is the purpose.

use std::path::Path;

use miette::{IntoDiagnostic, Result, WrapErr};
use portcullis_config::SecretSource;
use portcullis_identity::{Clock, SystemClock};
use portcullis_keys::{KeyId, KeyRing, ServiceRole, SystemRandom};

use crate::cli::{ConfigFile, Export, Keys, RingFile, RingKey, ServiceName};
use crate::terminal::say;
use crate::{configuration, secret_file};

/// Does what was asked for.
///
/// # Errors
/// The configuration or the key ring cannot be read, or does not hold what was asked for.
pub(crate) fn run(keys: Keys) -> Result<()> {
    match keys {
        Keys::New => {
            let (_ring, text) = KeyRing::generate(&SystemRandom);
            say(text.trim_end());
        }
        Keys::Ids(file) => {
            for id in ring(&file)?.key_ids() {
                say(&id.to_string());
            }
        }
        Keys::Append(RingFile { file }) => {
            let (text, id) = portcullis_keys::append(&read(&file)?, &SystemRandom).into_diagnostic()?;
            replace(&file, &text)?;
            say(&format!(
                "{id} appended; once every host has it (`portcullis status`): portcullis keys promote {id} FILE"
            ));
        }
        Keys::Promote(RingKey { id, file }) => {
            replace(&file, &portcullis_keys::promote(&read(&file)?, key_id(&id)?).into_diagnostic()?)?;
            say(&format!("{id} seals as soon as the file is read; remove the other key after session.lifetime"));
        }
        Keys::Remove(RingKey { id, file }) => {
            replace(&file, &portcullis_keys::remove(&read(&file)?, key_id(&id)?).into_diagnostic()?)?;
            say(&format!("{id} removed"));
        }
        Keys::Export(Export { file, services }) => {
            let roles: Vec<_> = services.into_iter().map(role).collect();
            let text = ring(&file)?.export(&roles, SystemClock.now()).into_diagnostic()?;
            say(text.trim_end());
        }
    }
    Ok(())
}

fn ring(file: &ConfigFile) -> Result<KeyRing> {
    let loaded = configuration::load(&file.config)?;
    let source = &loaded.config.secret;
    if let SecretSource::StateFile(path) = source
        && !path.exists()
    {
        miette::bail!("{} is made by the first `portcullis run`; there is no secret yet", path.display());
    }
    secret_file::key_ring(source, &SystemRandom).into_diagnostic().wrap_err("the cluster secret")
}

fn key_id(text: &str) -> Result<KeyId> {
    KeyId::from_hex(text).ok_or_else(|| miette::miette!("{text} is not a key id; `portcullis keys ids` prints them"))
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).into_diagnostic().wrap_err_with(|| file.display().to_string())
}

/// Replaces the file's content in one step, keeping mode and owner; a crash leaves the old or the new one.
fn replace(file: &Path, text: &str) -> Result<()> {
    secret_file::replace(file, text.as_bytes()).into_diagnostic().wrap_err_with(|| file.display().to_string())
}

fn role(name: ServiceName) -> ServiceRole {
    match name {
        ServiceName::Proxy => ServiceRole::Proxy,
        ServiceName::Authn => ServiceRole::Authn,
        ServiceName::Broker => ServiceRole::Broker,
    }
}
