//! Whose client certificates are believed, and what else they must meet.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_identity::Timestamp;
use regex::Regex;
use rustls_pki_types::TrustAnchor;
use webpki::CertRevocationList;

/// Client certificates on the public listener: `downstream_mtls`.
#[derive(Clone, Debug)]
pub struct DownstreamMtls {
    /// What clients must meet on every host; `None`: they are asked only where a route has roots of its own.
    pub trust: Option<Arc<ClientTrust>>,
    /// What becomes of those who do not.
    pub enforcement: Enforcement,
    /// The lists of revoked certificates, if there are any.
    pub revocations: Option<RevocationLists>,
}

/// Where lists of revoked certificates came from, and how long they are the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationLists {
    /// Their file; the configuration's where they stand in it.
    pub origin: PathBuf,
    /// When the first of them is due to be replaced (RFC 5280 §5.1.2.5); they count after that, too.
    pub next_update: Timestamp,
}

/// What becomes of a client without a valid certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Every route that has roots denies it, besides what its policy says.
    #[default]
    PolicyWithDefaultDeny,
    /// Only policies look at it.
    Policy,
    /// It gets no connection, and every route that has roots denies it.
    RejectConnection,
}

impl Enforcement {
    /// Whether routes that have roots deny whoever has no valid certificate, whatever their policies say.
    #[must_use]
    pub const fn denies_by_default(self) -> bool {
        match self {
            Self::PolicyWithDefaultDeny | Self::RejectConnection => true,
            Self::Policy => false,
        }
    }
}

/// Everything a client certificate must meet to be valid; ready to validate with.
pub struct ClientTrust {
    /// The roots; never empty.
    pub roots: Vec<TrustAnchor<'static>>,
    /// Lists of revoked certificates; an issuer without a list has revoked nothing.
    pub revoked: Arc<[CertRevocationList<'static>]>,
    /// One of these names must be among the certificate's; empty: any will do.
    pub names: Arc<[NamePattern]>,
    /// The most certificates above the client's own, the root among them; `None`: any number.
    pub max_depth: Option<NonZeroU32>,
    /// SHA-256 of all of it: equal trusts have equal digests.
    pub digest: [u8; 32],
}

/// Everything but the digest is long and says nothing to readers.
impl fmt::Debug for ClientTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { roots, revoked, names, max_depth, digest } = self;
        f.debug_struct("ClientTrust")
            .field("roots", &roots.len())
            .field("revoked", &revoked.len())
            .field("names", &names.len())
            .field("max_depth", max_depth)
            .field("digest", &hex::encode(digest))
            .finish()
    }
}

/// A name that a certificate may have.
#[derive(Clone, Debug)]
pub struct NamePattern {
    /// Which of its names.
    pub kind: NameKind,
    /// Matches it as a whole.
    pub expression: Regex,
}

/// A kind of subject alternative name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A DNS name.
    Dns,
    /// An e-mail address.
    Email,
    /// An IP address.
    IpAddress,
    /// A URI.
    Uri,
    /// A user principal name.
    UserPrincipalName,
}
