//! Signatures of a provider: which algorithms count, and the check of a signed answer that is no ID token.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openidconnect::JsonWebKey;
use openidconnect::core::{CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use serde::Deserialize;

/// The algorithms that count: asymmetric ones. Never `none`; never a MAC, whose key would be the client
/// secret or, confused, a public key.
pub(crate) const ALLOWED: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

/// Why a compact JWS has no payload for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// Not a compact JWS.
    Malformed,
    /// An algorithm outside [`ALLOWED`], a critical header, or a signature that no fitting key confirms.
    Signature,
    /// No key fits: the provider may have rotated.
    UnknownKey,
}

/// The payload of the compact JWS `token`, if exactly the provider's keys confirm it.
pub(crate) fn verified_payload(token: &str, keys: &CoreJsonWebKeySet) -> Result<Vec<u8>, Unverified> {
    let (message, signature) = token.rsplit_once('.').ok_or(Unverified::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Unverified::Malformed)?;
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_undecodable| Unverified::Malformed);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_unreadable| Unverified::Malformed)?;
    let (payload, signature) = (decode(payload)?, decode(signature)?);
    if header.crit.is_some() {
        return Err(Unverified::Signature); // RFC 7515, 4.1.11: we understand no extension
    }
    let algorithm = ALLOWED
        .iter()
        .find(|allowed| serde_json::to_value(allowed).is_ok_and(|name| name == header.alg.as_str()))
        .ok_or(Unverified::Signature)?;
    let fits = |key: &&_| named(*key, header.kid.as_deref());
    let mut candidates = keys.keys().iter().filter(fits).peekable();
    if candidates.peek().is_none() {
        return Err(Unverified::UnknownKey);
    }
    // The key's own type, use and algorithm are compared with the header's before anything is computed.
    let confirmed = candidates.any(|key| key.verify_signature(algorithm, message.as_bytes(), &signature).is_ok());
    if confirmed { Ok(payload) } else { Err(Unverified::Signature) }
}

fn named(key: &impl JsonWebKey, kid: Option<&str>) -> bool {
    kid.is_none_or(|kid| key.key_id().is_some_and(|id| id.as_str() == kid))
}
