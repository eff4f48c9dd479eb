//! Why a call to the broker gave no answer of use. Callers decide by the variant; nobody shows the text.

use crate::wire::WireError;

/// Why any call came back without what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The broker is not there, too slow, or cannot write now; asking again later may help.
    #[error("broker unavailable")]
    Unavailable(#[source] Box<tonic::Status>),
    /// This service may not make this call, or the broker does not know who it is.
    #[error("broker denied the call")]
    Denied(#[source] Box<tonic::Status>),
    /// The broker found the request wrong; asking again does not help.
    #[error("broker refused the request")]
    Refused(#[source] Box<tonic::Status>),
    /// The broker answered something that is not of this protocol.
    #[error("broker answer is malformed")]
    BadAnswer(#[source] WireError),
}

/// Why a session was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The claims take more than [`portcullis_identity::MAX_CLAIMS_BYTES`].
    #[error("claims take {bytes} bytes, more than a session may carry")]
    ClaimsTooLarge {
        /// Their size.
        bytes: usize,
    },
    /// The key is taken: keys are digests of fresh random handles, so this is a replay or a broken generator.
    #[error("session key exists")]
    Exists,
    /// Nothing was acknowledged; the session may or may not be there, and nobody holds its handle.
    #[error(transparent)]
    Broker(BrokerError),
}

/// Why a hand-over gave no session.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// Spent before, or past its time.
    #[error("hand-over already redeemed")]
    AlreadyRedeemed,
    /// The session is over or never was.
    #[error("no such session")]
    NoSession,
    /// Not known: the id may be spent now, so the caller starts again.
    #[error("broker unavailable")]
    Unavailable(#[source] BrokerError),
}

/// Why records were not written, deleted or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// They do not fit; nothing was changed.
    #[error("{reason}")]
    Refused {
        /// Which bound is in the way.
        reason: String,
    },
    /// No answer of use: the change may or may not have been made, and making it again does no harm.
    #[error(transparent)]
    Broker(BrokerError),
}

impl From<tonic::Status> for RecordsError {
    fn from(status: tonic::Status) -> Self {
        if matches!(status.code(), tonic::Code::FailedPrecondition | tonic::Code::InvalidArgument) {
            return Self::Refused { reason: status.message().to_owned() };
        }
        Self::Broker(status.into())
    }
}

impl From<WireError> for RecordsError {
    fn from(error: WireError) -> Self {
        Self::Broker(error.into())
    }
}

impl From<tonic::Status> for BrokerError {
    fn from(status: tonic::Status) -> Self {
        use tonic::Code;
        let code = status.code();
        let status = Box::new(status);
        match code {
            Code::PermissionDenied | Code::Unauthenticated => Self::Denied(status),
            Code::InvalidArgument
            | Code::AlreadyExists
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented => Self::Refused(status),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Self::Unavailable(status),
        }
    }
}

impl From<WireError> for BrokerError {
    fn from(error: WireError) -> Self {
        Self::BadAnswer(error)
    }
}
