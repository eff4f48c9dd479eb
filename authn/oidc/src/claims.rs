//! Claims of ID token and userinfo: merged, bounded, and mapped to the fields of a subject.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portcullis_config::ClaimMapping;
use portcullis_identity::{Group, Groups, MAX_CLAIMS_BYTES};
use serde_json::Value;
use serde_json::value::RawValue;

/// Claims about the token rather than the person: they end with the exchange and are kept nowhere.
const OF_THE_TOKEN: [&str; 8] = ["at_hash", "c_hash", "exp", "iat", "jti", "nbf", "nonce", "s_hash"];
/// Claims that only the signed ID token may make: userinfo never adds one.
const OF_THE_ID_TOKEN: [&str; 7] = ["acr", "amr", "aud", "auth_time", "azp", "iss", "sid"];
/// An address and the word on it are one claim: both come from the same source.
const ADDRESS_PAIR: [&str; 2] = ["email", "email_verified"];

/// Why claims cannot become a subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// Not a JSON object.
    #[error("the claims are not a JSON object")]
    Malformed,
    /// More than a session may carry.
    #[error("the claims take {bytes} bytes, more than {MAX_CLAIMS_BYTES}")]
    TooLarge {
        /// Their size as JSON text.
        bytes: usize,
    },
    /// `require_verified_email`: `email_verified` is not the boolean `true`.
    #[error("the e-mail address is not verified")]
    EmailNotVerified,
    /// The provider names the groups' source instead of the groups: there are too many for a token.
    #[error("the provider left out the groups because there are too many: {claim} is only referred to")]
    GroupOverage {
        /// The groups claim.
        claim: String,
    },
    /// The groups claim is neither a list of texts nor one text.
    #[error("the claim {claim} is neither a text nor a list of texts")]
    GroupsUnreadable {
        /// The groups claim.
        claim: String,
    },
}

/// A JSON object whose values are kept as they were written: no number loses a digit.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawClaims(BTreeMap<String, Box<RawValue>>);

impl RawClaims {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ClaimsError> {
        serde_json::from_slice(text).map(Self).map_err(|_unreadable| ClaimsError::Malformed)
    }

    /// The claims of a token whose signature has been checked before.
    pub(crate) fn of_verified_token(token: &str) -> Result<Self, ClaimsError> {
        let payload = token.split('.').nth(1).ok_or(ClaimsError::Malformed)?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).map_err(|_undecodable| ClaimsError::Malformed)?;
        Self::parse(&payload)
    }

    /// The session's claims: what the ID token says, with userinfo's for what it leaves open.
    pub(crate) fn merged(mut id_token: Self, userinfo: Self) -> Self {
        let own_address = ADDRESS_PAIR.iter().any(|name| id_token.0.contains_key(*name));
        for (name, value) in userinfo.0 {
            let pair_is_taken = own_address && ADDRESS_PAIR.contains(&name.as_str());
            if !pair_is_taken && !OF_THE_ID_TOKEN.contains(&name.as_str()) {
                id_token.0.entry(name).or_insert(value);
            }
        }
        id_token.0.retain(|name, _value| !OF_THE_TOKEN.contains(&name.as_str()));
        id_token
    }

    /// The session's claims where userinfo is newer than the ID token: what it says counts.
    pub(crate) fn updated(mut id_token: Self, userinfo: Self) -> Self {
        if ADDRESS_PAIR.iter().any(|name| userinfo.0.contains_key(*name)) {
            id_token.0.retain(|name, _value| !ADDRESS_PAIR.contains(&name.as_str()));
        }
        id_token.0.retain(|name, _value| OF_THE_ID_TOKEN.contains(&name.as_str()) || !userinfo.0.contains_key(name));
        Self::merged(id_token, userinfo)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The claim of that name, if it is one text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The texts of that name: of a list all that are texts, of one text that one.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
        }
    }

    /// The value of a name; a name that no claim has is a dotted way into nested objects.
    fn value(&self, name: &str) -> Option<Value> {
        if let Some(raw) = self.0.get(name) {
            return serde_json::from_str(raw.get()).ok();
        }
        let (outer, inner) = name.split_once('.')?;
        let outer: Value = serde_json::from_str(self.0.get(outer)?.get()).ok()?;
        inner.split('.').try_fold(&outer, |object, part| object.get(part)).cloned()
    }

    /// The text of the whole, at most [`MAX_CLAIMS_BYTES`].
    fn to_bounded_json(&self) -> Result<String, ClaimsError> {
        let text = serde_json::to_string(&self.0).map_err(|_unwritable| ClaimsError::Malformed)?;
        if text.len() > MAX_CLAIMS_BYTES {
            return Err(ClaimsError::TooLarge { bytes: text.len() });
        }
        Ok(text)
    }
}

/// The fields of a subject that claims fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) claims_json: String,
    pub(crate) email: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) groups: Option<Groups>,
}

/// Maps `claims` as `mapping` says.
pub(crate) fn map(claims: &RawClaims, mapping: &ClaimMapping) -> Result<Mapped, ClaimsError> {
    let ClaimMapping { email, name, groups, require_verified_email } = mapping;
    // Strictly the boolean: "true", 1 and absence are all "not verified".
    if *require_verified_email && claims.value("email_verified") != Some(Value::Bool(true)) {
        return Err(ClaimsError::EmailNotVerified);
    }
    Ok(Mapped {
        claims_json: claims.to_bounded_json()?,
        email: claims.text(email).unwrap_or_default().into(),
        name: claims.text(name).unwrap_or_default().into(),
        groups: groups_of(claims, groups)?,
    })
}

fn groups_of(claims: &RawClaims, name: &str) -> Result<Option<Groups>, ClaimsError> {
    let unreadable = || ClaimsError::GroupsUnreadable { claim: name.to_owned() };
    let ids = match claims.value(name) {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(ToOwned::to_owned).ok_or_else(unreadable))
            .collect::<Result<Vec<_>, _>>()?,
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => return Err(unreadable()),
        Some(Value::Null) | None => {
            // OpenID Connect Core 5.6.2: a distributed claim. Treating it as "no groups" would turn a
            // member of many groups into a member of none, and a deny rule into a permission.
            let referred = claims.value("_claim_names").is_some_and(|names| names.get(name).is_some());
            let entra = claims.value("hasgroups") == Some(Value::Bool(true));
            if referred || (entra && name == "groups") {
                return Err(ClaimsError::GroupOverage { claim: name.to_owned() });
            }
            return Ok(None);
        }
    };
    let group = |id: String| Group { id: id.into(), name: "".into(), email: "".into() };
    Ok(Some(ids.into_iter().map(group).collect()))
}
