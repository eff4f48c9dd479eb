//! A relying party against a provider that misbehaves on demand.
