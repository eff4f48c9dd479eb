//! Who is at the other end of a connection.

use portcullis_keys::ServiceRole;
use tonic::{Extensions, Status};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The URI of a process that runs every service.
const EVERY_SERVICE: &str = "portcullis://all";
/// The metadata key by which a caller names its service.
const SERVICE_KEY: &str = "portcullis-service";

/// What the connection proves of its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A process of our own uid on this host, or one whose certificate says every service: it is the
    /// service it says it is.
    Any,
    /// A certificate for this service.
    Only(ServiceRole),
    /// Nothing that counts.
    Stranger,
}

impl Peer {
    /// The peer of a Unix socket (SO_PEERCRED).
    pub(crate) const fn of_uid(theirs: u32, ours: u32) -> Self {
        if theirs == ours { Self::Any } else { Self::Stranger }
    }

    /// The peer that presented `leaf`, which the handshake has verified. Exactly one URI of ours counts:
    /// two would leave the choice to whoever reads them.
    pub(crate) fn of_certificate(leaf: &[u8]) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(leaf) else { return Self::Stranger };
        let Ok(Some(names)) = certificate.subject_alternative_name() else { return Self::Stranger };
        let ours = |name: &GeneralName<'_>| if let GeneralName::URI(uri) = name { service_uri(uri) } else { None };
        let mut ours = names.value.general_names.iter().filter_map(ours);
        match (ours.next(), ours.next()) {
            (Some(peer), None) => peer,
            (Some(_), Some(_)) | (None, _) => Self::Stranger,
        }
    }

    /// The service that makes a call, given what it says of itself.
    pub(crate) fn caller(self, said: Option<ServiceRole>) -> Result<ServiceRole, Unproven> {
        match (self, said) {
            (Self::Any, Some(role)) => Ok(role),
            (Self::Only(proven), None) => Ok(proven),
            (Self::Only(proven), Some(role)) if role == proven => Ok(proven),
            (Self::Only(_), Some(_)) => Err(Unproven::OtherService),
            (Self::Any, None) => Err(Unproven::NoService),
            (Self::Stranger, _) => Err(Unproven::Stranger),
        }
    }
}

/// What a URI of ours says.
fn service_uri(uri: &str) -> Option<Peer> {
    match uri {
        EVERY_SERVICE => Some(Peer::Any),
        uri if uri.starts_with("portcullis://") => Some(ServiceRole::from_uri(uri).map_or(Peer::Stranger, Peer::Only)),
        _ => None,
    }
}

/// Why a caller is no service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unproven {
    #[error("the connection proves no service")]
    Stranger,
    #[error("the call names no service")]
    NoService,
    #[error("the certificate is another service's")]
    OtherService,
}

impl From<Unproven> for Status {
    fn from(unproven: Unproven) -> Self {
        match unproven {
            Unproven::Stranger | Unproven::NoService => Self::unauthenticated(unproven.to_string()),
            Unproven::OtherService => Self::permission_denied(unproven.to_string()),
        }
    }
}

/// The service that a call names in its metadata.
pub(crate) fn said(headers: &http::HeaderMap) -> Option<ServiceRole> {
    let mut values = headers.get_all(SERVICE_KEY).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => ServiceRole::from_name(value.to_str().ok()?),
        _ => None,
    }
}

/// The service that the guard found to be calling.
pub(crate) fn role(extensions: &Extensions) -> Result<ServiceRole, Status> {
    extensions.get::<ServiceRole>().copied().ok_or_else(|| Status::unauthenticated("no caller"))
}

#[cfg(test)]
mod tests {
    use portcullis_identity::{Clock as _, SystemClock};
    use portcullis_keys::{KeyRing, SystemRandom};

    use super::*;

    #[test]
    fn a_certificate_is_its_own_service_and_no_other() {
        let (ring, _) = KeyRing::generate(&SystemRandom);
        let ca = ring.internal_ca().unwrap();
        for role in ServiceRole::ALL {
            let leaf = ca.issue(role, SystemClock.now()).unwrap();
            let peer = Peer::of_certificate(&leaf.certificate);
            assert_eq!(peer, Peer::Only(role));
            assert_eq!(peer.caller(None), Ok(role));
            assert_eq!(peer.caller(Some(role)), Ok(role));
        }
        assert_eq!(Peer::Only(ServiceRole::Proxy).caller(Some(ServiceRole::Authn)), Err(Unproven::OtherService));
    }

    #[test]
    fn a_certificate_without_exactly_one_uri_of_ours_is_a_strangers() {
        for (uris, expected) in [
            (&["portcullis://all"][..], Peer::Any),
            (&["portcullis://authn"], Peer::Only(ServiceRole::Authn)),
            (&["portcullis://authn", "spiffe://other"], Peer::Only(ServiceRole::Authn)),
            (&["portcullis://authn", "portcullis://proxy"], Peer::Stranger),
            (&["portcullis://root"], Peer::Stranger),
            (&["spiffe://portcullis/authn"], Peer::Stranger),
            (&[], Peer::Stranger),
        ] {
            let mut params = rcgen::CertificateParams::default();
            params.subject_alt_names = uris.iter().map(|uri| rcgen::SanType::URI((*uri).try_into().unwrap())).collect();
            let key = rcgen::KeyPair::generate().unwrap();
            let leaf = params.self_signed(&key).unwrap();
            assert_eq!(Peer::of_certificate(leaf.der()), expected, "{uris:?}");
        }
        assert_eq!(Peer::of_certificate(b"no certificate"), Peer::Stranger);
    }

    #[test]
    fn a_local_process_of_our_uid_names_itself_and_others_are_strangers() {
        assert_eq!(Peer::of_uid(7, 7).caller(Some(ServiceRole::Authn)), Ok(ServiceRole::Authn));
        assert_eq!(Peer::of_uid(7, 7).caller(None), Err(Unproven::NoService));
        assert_eq!(Peer::of_uid(8, 7).caller(Some(ServiceRole::Authn)), Err(Unproven::Stranger));
    }
}
