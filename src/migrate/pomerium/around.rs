//! What one route must know of the whole file.

/// Who converts the top level needs nothing beside it but this.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    /// Some policy looks at the client's address.
    pub(crate) looks_at_addresses: bool,
    /// The hosts of all routes that are kept.
    pub(crate) hosts: Vec<String>,
    /// The services run in several processes.
    pub(crate) split: bool,
}

/// What one route must know of the whole file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Around {
    /// The provider of every route that brings no client of its own.
    pub(crate) main_provider: String,
    /// Providers of routes with a client of their own, by client id.
    pub(crate) clients: Vec<(String, String)>,
    /// Headers that carry claims, in lower case.
    pub(crate) claim_headers: Vec<String>,
    /// `%2F` stays as it is.
    pub(crate) keeps_encoded_slashes: bool,
}
