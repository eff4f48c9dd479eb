//! `portcullis keys`: make, look at and export the cluster secret. Prints secrets only where that is the purpose.

use miette::{IntoDiagnostic, Result, WrapErr};
use portcullis_config::SecretSource;
use portcullis_identity::{Clock, SystemClock};
use portcullis_keys::{KeyRing, ServiceRole, SystemRandom};

use crate::cli::{ConfigFile, Export, Keys, ServiceName};
use crate::{configuration, secret_file};
use crate::terminal::say;

/// Does what was asked for.
///
/// # Errors
/// The configuration or the key ring cannot be read, or does not hold what was asked for.
pub fn run(keys: Keys) -> Result<()> {
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

fn role(name: ServiceName) -> ServiceRole {
    match name {
        ServiceName::Proxy => ServiceRole::Proxy,
        ServiceName::Authn => ServiceRole::Authn,
        ServiceName::Broker => ServiceRole::Broker,
    }
}
