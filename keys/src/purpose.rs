//! What keys are for, and which service needs which (design §4).

use std::fmt;

/// What a key is for; every purpose has a key of its own, HKDF-SHA256(secret, `portcullis/1/` + name).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// MAC of session credentials.
    Credential,
    /// The sealed messages between sign-in host and route hosts.
    Handover,
    /// OAuth `state`, PKCE verifier, nonce.
    Flow,
    /// Tokens and claims at rest.
    Store,
    /// The identity assertion's signature.
    Assertion,
    /// TLS resumption.
    Tickets,
    /// Certificates of services. Never exported: who holds it can be any service.
    InternalCa,
}

impl Purpose {
    /// Every purpose, in the order of the table in the design.
    pub const ALL: [Self; 7] =
        [Self::Credential, Self::Handover, Self::Flow, Self::Store, Self::Assertion, Self::Tickets, Self::InternalCa];

    /// The name in derivations and in exported files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Handover => "handover",
            Self::Flow => "flow",
            Self::Store => "store",
            Self::Assertion => "assertion",
            Self::Tickets => "tickets",
            Self::InternalCa => "internal-ca",
        }
    }

    /// The purpose of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A service as its siblings know it: by the URI in its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceRole {
    /// User traffic.
    Proxy,
    /// Sign-in.
    Authn,
    /// Sessions and tokens.
    Broker,
}

impl ServiceRole {
    /// Every service.
    pub const ALL: [Self; 3] = [Self::Proxy, Self::Authn, Self::Broker];

    /// The name in the configuration and in exported files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Authn => "authn",
            Self::Broker => "broker",
        }
    }

    /// The URI in its certificate: `portcullis://proxy`.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Proxy => "portcullis://proxy",
            Self::Authn => "portcullis://authn",
            Self::Broker => "portcullis://broker",
        }
    }

    /// The DNS name in its certificate: what a client names in TLS, whatever host it dials.
    #[must_use]
    pub const fn server_name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy.portcullis.internal",
            Self::Authn => "authn.portcullis.internal",
            Self::Broker => "broker.portcullis.internal",
        }
    }

    /// The service of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// The service whose certificate carries this URI.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.uri() == uri)
    }

    /// The purposes this service needs; never [`Purpose::InternalCa`].
    #[must_use]
    pub const fn purposes(self) -> &'static [Purpose] {
        match self {
            Self::Proxy => &[Purpose::Credential, Purpose::Handover, Purpose::Assertion, Purpose::Tickets],
            Self::Authn => &[Purpose::Credential, Purpose::Handover, Purpose::Flow],
            Self::Broker => &[Purpose::Store],
        }
    }
}

impl fmt::Display for ServiceRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
