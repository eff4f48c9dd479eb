//! The check of an ID token (OpenID Connect Core 3.1.3.7), in full.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::core::{CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJsonWebKeySet};
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, IssuerUrl, Nonce, SignatureVerificationError,
};
use portcullis_identity::{Needs, Timestamp};

use crate::signature::ALLOWED;

/// How far a provider's clock may be from ours.
pub const PROVIDER_LEEWAY: Duration = Duration::from_secs(60);

/// What the ID token of one sign-in must say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    /// `None`: any, or none; a refresh has none of its own (OpenID Connect Core 12.2).
    pub(crate) nonce: Option<&'a str>,
    pub(crate) access_token: &'a str,
    pub(crate) needs: &'a Needs,
    pub(crate) now: Timestamp,
}

/// What a checked ID token says about the sign-in itself.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) subject: String,
    pub(crate) auth_time: Option<Timestamp>,
    pub(crate) acr: Option<Arc<str>>,
}

/// The longest `sub` (OpenID Connect Core 2: 255 ASCII characters).
const MAX_SUBJECT_BYTES: usize = 255;

/// Why an ID token is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Not a signed token with the required claims, each of its right type.
    #[error("the id token cannot be read")]
    Malformed,
    /// Unsigned, or signed with a symmetric or unknown algorithm.
    #[error("the id token is not signed with an allowed algorithm")]
    Algorithm,
    /// No key of the provider, or more than one, fits its header.
    #[error("no single key of the provider fits the id token")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the signature of the id token does not hold")]
    Signature,
    /// `iss` is not the provider.
    #[error("the id token comes from another issuer")]
    Issuer,
    /// `aud` does not name us, or names others without `azp`.
    #[error("the id token is for another audience")]
    Audience,
    /// `azp` is not us.
    #[error("the id token was issued to another client")]
    AuthorizedParty,
    /// `exp` has passed.
    #[error("the id token has expired")]
    Expired,
    /// `iat` lies in the future.
    #[error("the id token was issued in the future")]
    IssuedInFuture,
    /// `nonce` is missing or not ours.
    #[error("the nonce of the id token is not the one we sent")]
    Nonce,
    /// `sub` is empty, or longer than 255 bytes.
    #[error("the id token has no subject, or one over 255 bytes")]
    Subject,
    /// `at_hash` does not belong to the access token.
    #[error("the id token belongs to another access token")]
    AccessTokenHash,
    /// `max_age` was asked for and `auth_time` is missing.
    #[error("the id token does not say when the person authenticated")]
    AuthTimeMissing,
    /// The person authenticated longer ago than `max_age`, or in the future.
    #[error("the person did not authenticate recently enough")]
    NotFresh,
    /// `acr` is none of those that were asked for.
    #[error("the person did not authenticate in a way that counts")]
    AcrNotMet,
}

impl IdTokenError {
    /// Whether newer keys could make the difference.
    pub(crate) const fn may_be_rotation(self) -> bool {
        matches!(self, Self::UnknownKey | Self::Signature)
    }

    /// Whether it is another issuer's, another client's or nobody's, rather than one that cannot be checked now: unknown
    /// keys and wrong clocks are troubles of the provider, or ours.
    pub(crate) const fn is_for_somebody_else(self) -> bool {
        matches!(self, Self::Issuer | Self::Audience | Self::AuthorizedParty | Self::Subject)
    }

    /// Whether the sign-in itself is sound and only falls short of what was asked for.
    #[must_use]
    pub const fn is_unmet_need(self) -> bool {
        matches!(self, Self::AuthTimeMissing | Self::NotFresh | Self::AcrNotMet)
    }
}

/// Checks `token` against `expected`; every cause of refusal is one of [`IdTokenError`].
pub(crate) fn check(token: &str, keys: &CoreJsonWebKeySet, expected: &Expected<'_>) -> Result<Checked, IdTokenError> {
    let id_token: CoreIdToken = token.parse().map_err(|_unreadable| IdTokenError::Malformed)?;
    let issuer = IssuerUrl::new(expected.issuer.to_owned()).map_err(|_unparsable| IdTokenError::Issuer)?;
    // Not `new_confidential_client`: without the secret no MAC can ever be checked, whatever else is wrong.
    let verifier =
        CoreIdTokenVerifier::new_public_client(ClientId::new(expected.client_id.to_owned()), issuer, keys.clone())
            .set_allowed_algs(ALLOWED)
            // Further audiences are judged below, by `azp`.
            .set_other_audience_verifier_fn(|_audience| true)
            // Times are judged below, with leeway; the epoch is before every `exp`.
            .set_time_fn(Default::default);
    let claims = match expected.nonce {
        Some(nonce) => id_token.claims(&verifier, &Nonce::new(nonce.to_owned())),
        None => id_token.claims(&verifier, |_: Option<&Nonce>| Ok(())),
    };
    let claims = claims.map_err(cause)?;
    audience(claims, expected)?;
    times(claims, expected)?;
    access_token_hash(&id_token, claims, &verifier, expected)?;
    if !(1..=MAX_SUBJECT_BYTES).contains(&claims.subject().len()) {
        return Err(IdTokenError::Subject);
    }
    let acr: Option<Arc<str>> = claims.auth_context_ref().map(|acr| acr.as_str().into());
    if !expected.needs.acr.is_empty() && !acr.as_ref().is_some_and(|given| expected.needs.acr.contains(given)) {
        return Err(IdTokenError::AcrNotMet);
    }
    Ok(Checked {
        subject: claims.subject().as_str().to_owned(),
        auth_time: claims.auth_time().map(|at| Timestamp::from_unix_millis(at.timestamp_millis())),
        acr,
    })
}

/// Steps 4 and 5: `azp`, if there is one, is us; several audiences need one.
fn audience(claims: &CoreIdTokenClaims, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    match claims.authorized_party() {
        Some(party) if party.as_str() != expected.client_id => Err(IdTokenError::AuthorizedParty),
        Some(_) => Ok(()),
        None if claims.audiences().len() > 1 => Err(IdTokenError::Audience),
        None => Ok(()),
    }
}

/// Steps 9, 10 and 13, with [`PROVIDER_LEEWAY`].
fn times(claims: &CoreIdTokenClaims, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    let now = expected.now;
    let millis = |at: i64| Timestamp::from_unix_millis(at);
    if now >= millis(claims.expiration().timestamp_millis()).saturating_add(PROVIDER_LEEWAY) {
        return Err(IdTokenError::Expired);
    }
    if millis(claims.issue_time().timestamp_millis()) > now.saturating_add(PROVIDER_LEEWAY) {
        return Err(IdTokenError::IssuedInFuture);
    }
    let auth_time = claims.auth_time().map(|at| millis(at.timestamp_millis()));
    if let Some(max_age) = expected.needs.max_age {
        let at = auth_time.ok_or(IdTokenError::AuthTimeMissing)?;
        let in_future = at > now.saturating_add(PROVIDER_LEEWAY);
        if in_future || now.since(at) > max_age.saturating_add(PROVIDER_LEEWAY) {
            return Err(IdTokenError::NotFresh);
        }
    }
    Ok(())
}

/// OpenID Connect Core 3.1.3.8: checked whenever it is there.
fn access_token_hash(
    id_token: &CoreIdToken,
    claims: &CoreIdTokenClaims,
    verifier: &CoreIdTokenVerifier<'_>,
    expected: &Expected<'_>,
) -> Result<(), IdTokenError> {
    let Some(announced) = claims.access_token_hash() else {
        return Ok(());
    };
    let algorithm = id_token.signing_alg().map_err(|_unsigned| IdTokenError::Algorithm)?;
    let key = id_token.signing_key(verifier).map_err(|_no_key| IdTokenError::UnknownKey)?;
    let access_token = AccessToken::new(expected.access_token.to_owned());
    let computed = AccessTokenHash::from_token(&access_token, algorithm, key)
        .map_err(|_unsupported| IdTokenError::AccessTokenHash)?;
    if computed.as_str() == announced.as_str() { Ok(()) } else { Err(IdTokenError::AccessTokenHash) }
}

/// The library's texts quote claims, so only their kind is kept.
fn cause(error: ClaimsVerificationError) -> IdTokenError {
    match error {
        ClaimsVerificationError::Expired(_) => IdTokenError::Expired,
        ClaimsVerificationError::InvalidAudience(_) => IdTokenError::Audience,
        ClaimsVerificationError::InvalidAuthContext(_) => IdTokenError::AcrNotMet,
        ClaimsVerificationError::InvalidAuthTime(_) => IdTokenError::NotFresh,
        ClaimsVerificationError::InvalidIssuer(_) => IdTokenError::Issuer,
        ClaimsVerificationError::InvalidNonce(_) => IdTokenError::Nonce,
        ClaimsVerificationError::InvalidSubject(_) => IdTokenError::Subject,
        ClaimsVerificationError::SignatureVerification(error) => match error {
            SignatureVerificationError::AmbiguousKeyId(_) | SignatureVerificationError::NoMatchingKey => {
                IdTokenError::UnknownKey
            }
            SignatureVerificationError::DisallowedAlg(_)
            | SignatureVerificationError::NoSignature
            | SignatureVerificationError::UnsupportedAlg(_) => IdTokenError::Algorithm,
            SignatureVerificationError::CryptoError(_)
            | SignatureVerificationError::InvalidKey(_)
            | SignatureVerificationError::Other(_)
            | _ => IdTokenError::Signature,
        },
        ClaimsVerificationError::Other(_) | ClaimsVerificationError::Unsupported(_) | _ => IdTokenError::Malformed,
    }
}
