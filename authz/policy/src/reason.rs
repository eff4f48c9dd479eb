//! Why a criterion has its value: one word each.

/// One word of why, in the order of its spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// `accept` permits everybody.
    Accept,
    /// `claim` holds.
    ClaimOk,
    /// `claim` does not hold.
    ClaimUnauthorized,
    /// `client_certificate` holds.
    ClientCertificateOk,
    /// No client certificate was presented.
    ClientCertificateRequired,
    /// `client_certificate` does not hold.
    ClientCertificateUnauthorized,
    /// A CORS preflight.
    CorsRequest,
    /// `date` holds.
    DateOk,
    /// `date` does not hold.
    DateUnauthorized,
    /// `day_of_week` holds.
    DayOfWeekOk,
    /// `day_of_week` does not hold.
    DayOfWeekUnauthorized,
    /// `device` holds.
    DeviceOk,
    /// The session has no enrolled device of the type.
    DeviceUnauthenticated,
    /// `device` does not hold.
    DeviceUnauthorized,
    /// `domain` holds.
    DomainOk,
    /// `domain` does not hold.
    DomainUnauthorized,
    /// `email` holds.
    EmailOk,
    /// `email` does not hold.
    EmailUnauthorized,
    /// `groups` holds.
    GroupsOk,
    /// `groups` does not hold.
    GroupsUnauthorized,
    /// `http_method` holds.
    HttpMethodOk,
    /// `http_method` does not hold.
    HttpMethodUnauthorized,
    /// `http_path` holds.
    HttpPathOk,
    /// `http_path` does not hold.
    HttpPathUnauthorized,
    /// The client certificate did not pass validation.
    InvalidClientCertificate,
    /// `mcp_tool` holds.
    McpToolOk,
    /// `mcp_tool` does not hold.
    McpToolUnauthorized,
    /// No CORS preflight.
    NonCorsRequest,
    /// `record` holds.
    RecordOk,
    /// `record` does not hold.
    RecordUnauthorized,
    /// `reject` permits nobody.
    Reject,
    /// `source_ip` holds.
    SourceIpOk,
    /// `source_ip` does not hold.
    SourceIpUnauthorized,
    /// `time_of_day` holds.
    TimeOfDayOk,
    /// `time_of_day` does not hold.
    TimeOfDayUnauthorized,
    /// `user` holds.
    UserOk,
    /// Nobody is signed in.
    UserUnauthenticated,
    /// `user` does not hold.
    UserUnauthorized,
    /// The client certificate passed validation.
    ValidClientCertificate,
}

impl Reason {
    /// Every reason, sorted by its word.
    pub const ALL: [Self; 39] = [
        Self::Accept,
        Self::ClaimOk,
        Self::ClaimUnauthorized,
        Self::ClientCertificateOk,
        Self::ClientCertificateRequired,
        Self::ClientCertificateUnauthorized,
        Self::CorsRequest,
        Self::DateOk,
        Self::DateUnauthorized,
        Self::DayOfWeekOk,
        Self::DayOfWeekUnauthorized,
        Self::DeviceOk,
        Self::DeviceUnauthenticated,
        Self::DeviceUnauthorized,
        Self::DomainOk,
        Self::DomainUnauthorized,
        Self::EmailOk,
        Self::EmailUnauthorized,
        Self::GroupsOk,
        Self::GroupsUnauthorized,
        Self::HttpMethodOk,
        Self::HttpMethodUnauthorized,
        Self::HttpPathOk,
        Self::HttpPathUnauthorized,
        Self::InvalidClientCertificate,
        Self::McpToolOk,
        Self::McpToolUnauthorized,
        Self::NonCorsRequest,
        Self::RecordOk,
        Self::RecordUnauthorized,
        Self::Reject,
        Self::SourceIpOk,
        Self::SourceIpUnauthorized,
        Self::TimeOfDayOk,
        Self::TimeOfDayUnauthorized,
        Self::UserOk,
        Self::UserUnauthenticated,
        Self::UserUnauthorized,
        Self::ValidClientCertificate,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::ClaimOk => "claim-ok",
            Self::ClaimUnauthorized => "claim-unauthorized",
            Self::ClientCertificateOk => "client-certificate-ok",
            Self::ClientCertificateRequired => "client-certificate-required",
            Self::ClientCertificateUnauthorized => "client-certificate-unauthorized",
            Self::CorsRequest => "cors-request",
            Self::DateOk => "date-ok",
            Self::DateUnauthorized => "date-unauthorized",
            Self::DayOfWeekOk => "day-of-week-ok",
            Self::DayOfWeekUnauthorized => "day-of-week-unauthorized",
            Self::DeviceOk => "device-ok",
            Self::DeviceUnauthenticated => "device-unauthenticated",
            Self::DeviceUnauthorized => "device-unauthorized",
            Self::DomainOk => "domain-ok",
            Self::DomainUnauthorized => "domain-unauthorized",
            Self::EmailOk => "email-ok",
            Self::EmailUnauthorized => "email-unauthorized",
            Self::GroupsOk => "groups-ok",
            Self::GroupsUnauthorized => "groups-unauthorized",
            Self::HttpMethodOk => "http-method-ok",
            Self::HttpMethodUnauthorized => "http-method-unauthorized",
            Self::HttpPathOk => "http-path-ok",
            Self::HttpPathUnauthorized => "http-path-unauthorized",
            Self::InvalidClientCertificate => "invalid-client-certificate",
            Self::McpToolOk => "mcp-tool-ok",
            Self::McpToolUnauthorized => "mcp-tool-unauthorized",
            Self::NonCorsRequest => "non-cors-request",
            Self::RecordOk => "record-ok",
            Self::RecordUnauthorized => "record-unauthorized",
            Self::Reject => "reject",
            Self::SourceIpOk => "source-ip-ok",
            Self::SourceIpUnauthorized => "source-ip-unauthorized",
            Self::TimeOfDayOk => "time-of-day-ok",
            Self::TimeOfDayUnauthorized => "time-of-day-unauthorized",
            Self::UserOk => "user-ok",
            Self::UserUnauthenticated => "user-unauthenticated",
            Self::UserUnauthorized => "user-unauthorized",
            Self::ValidClientCertificate => "valid-client-certificate",
        }
    }

    const fn bit(self) -> u64 {
        1 << (self as u8)
    }
}

/// A set of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u64);

impl Reasons {
    /// No reason.
    pub const NONE: Self = Self(0);

    /// The set of one reason.
    #[must_use]
    pub const fn of(reason: Reason) -> Self {
        Self(reason.bit())
    }

    /// The reasons of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `reason` is among them.
    #[must_use]
    pub const fn contains(self, reason: Reason) -> bool {
        self.0 & reason.bit() != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The words, sorted.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let place = usize::try_from(left.trailing_zeros()).ok()?;
            left &= left.wrapping_sub(1);
            Reason::ALL.get(place).map(|reason| reason.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Reason, Reasons};

    #[test]
    fn words_are_sorted_and_distinct() {
        let words: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert!(words.is_sorted() && words.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(Reason::ALL.iter().enumerate().all(|(place, reason)| *reason as usize == place));
        let set = Reasons::of(Reason::UserOk).union(Reasons::of(Reason::Accept));
        assert_eq!(set.iter().collect::<Vec<_>>(), ["accept", "user-ok"]);
    }
}
