//! What a provider says of a principal: a flat map of dotted names to lists of values.

use std::sync::Arc;

/// The most bytes of claims, as JSON text, that a session may carry.
pub const MAX_CLAIMS_BYTES: usize = 64 * 1024;

/// Claims by name, sorted; objects are flattened with dots, scalars are lists of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    entries: Arc<[Claim]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    name: Arc<str>,
    values: Arc<[ClaimValue]>,
}

/// One element of a claim. Two values are equal when kind and canonical text are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimValue {
    kind: ClaimKind,
    text: Arc<str>,
}

/// The JSON type of a claim's element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number; the text is canonical, so that `5` and `5.0` are one value, exactly at any size.
    Number,
    /// A string.
    Text,
    /// A list or an object inside a list; the text is canonical JSON.
    Nested,
}

/// Why a text is not a set of claims.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// Not one JSON object.
    #[error("claims are not a JSON object")]
    NotAnObject(#[source] serde_json::Error),
    /// More than [`MAX_CLAIMS_BYTES`].
    #[error("claims take {bytes} bytes, more than {MAX_CLAIMS_BYTES}")]
    TooLarge {
        /// The text's length.
        bytes: usize,
    },
}
