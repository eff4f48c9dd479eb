//! Compiled criteria: one fact, one matcher, one reason.

use portcullis_identity::{Claims, DeviceState, NameKey, Subject};

use crate::certificate::CertificateMatcher;
use crate::matcher::{ListMatcher, StringMatcher, ends};
use crate::network::Networks;
use crate::record::RecordMatcher;
use crate::schedule::{DateRange, TimeRange, Weekdays};
use crate::{Facts, McpTool, Reason, Ternary};

/// One criterion, ready to decide.
#[derive(Debug)]
pub(crate) enum Criterion {
    /// About whoever asks.
    Subject(SubjectCriterion),
    /// About anything else.
    Request(RequestCriterion),
}

/// A criterion about what is asked for, from where and when, or about external data.
#[derive(Debug)]
pub(crate) enum RequestCriterion {
    Accept,
    Reject,
    ClientCertificate(Box<CertificateMatcher>),
    InvalidClientCertificate,
    SourceIp(Box<Networks>),
    HttpMethod(StringMatcher),
    HttpPath(StringMatcher),
    CorsPreflight,
    McpTool(StringMatcher),
    Date(Box<DateRange>),
    DayOfWeek(Weekdays),
    TimeOfDay(Box<TimeRange>),
    Record(Box<RecordMatcher>),
}

/// A criterion about the subject: unknown where there is none.
#[derive(Debug)]
pub(crate) enum SubjectCriterion {
    Authenticated,
    User(StringMatcher),
    Email(StringMatcher),
    /// This domain, with the `@` before it, is what the address ends with.
    DomainIs(Box<str>),
    Domain(StringMatcher),
    Claim(Box<ClaimMatcher>),
    Groups(Box<ListMatcher>),
    Device(Box<DeviceMatcher>),
}

/// The value of a `claim/…` criterion.
#[derive(Debug)]
pub(crate) struct ClaimMatcher {
    pub path: Path,
    pub values: ListMatcher,
}

/// A claim's name as a policy writes it: `a/b` is a claim of that very name, else `a.b`.
#[derive(Debug)]
pub(crate) struct Path {
    pub exact: NameKey<'static>,
    pub dotted: Option<NameKey<'static>>,
}

/// The value of a `device` criterion.
#[derive(Debug)]
pub(crate) struct DeviceMatcher {
    pub kind: Box<str>,
    pub id: Option<Box<str>>,
    pub approval: Approval,
}

/// What a `device` criterion asks of an administrator's approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approval {
    Either,
    Approved,
    NotApproved,
}

/// What one criterion says.
pub(crate) type Finding = (Ternary, Reason);

impl Criterion {
    /// Criteria about the subject, which most policies consist of, are told apart in the loop over them, which every
    /// decision runs; what one of them needs more than a comparison is apart, so that the loop keeps nothing that only some
    /// of them need.
    #[inline]
    pub(crate) fn find(&self, facts: &Facts<'_>) -> Finding {
        match (self, facts.subject) {
            (Self::Request(criterion), _) => criterion.find(facts),
            (Self::Subject(criterion), Some(subject)) => criterion.find(subject),
            // Whatever a sign-in could change is unknown, not false.
            (Self::Subject(_), None) => (Ternary::Unknown, Reason::UserUnauthenticated),
        }
    }

    /// Whether some facts give it this value, as far as its own text tells.
    pub(crate) fn can_be(&self, value: Ternary) -> bool {
        if value != Ternary::True {
            return self.constant() != Some(true);
        }
        match self {
            Self::Subject(criterion) => criterion.can_hold(),
            Self::Request(criterion) => criterion.can_hold(),
        }
    }

    /// The value whatever the facts, where there is one.
    pub(crate) fn constant(&self) -> Option<bool> {
        match self {
            Self::Subject(_) => None,
            Self::Request(criterion) => criterion.constant(),
        }
    }
}

impl From<SubjectCriterion> for Criterion {
    fn from(criterion: SubjectCriterion) -> Self {
        Self::Subject(criterion)
    }
}

impl From<RequestCriterion> for Criterion {
    fn from(criterion: RequestCriterion) -> Self {
        Self::Request(criterion)
    }
}

impl RequestCriterion {
    #[inline]
    fn find(&self, facts: &Facts<'_>) -> Finding {
        let request = &facts.request;
        match self {
            Self::Accept => (Ternary::True, Reason::Accept),
            Self::Reject => (Ternary::False, Reason::Reject),
            Self::ClientCertificate(matcher) => pick(
                matcher.holds(&request.client_certificate),
                (Reason::ClientCertificateOk, Reason::ClientCertificateUnauthorized),
            ),
            Self::InvalidClientCertificate => invalid_certificate(facts),
            Self::SourceIp(networks) => {
                let inside = request.client_address.is_some_and(|address| networks.contains(address));
                pick(inside, (Reason::SourceIpOk, Reason::SourceIpUnauthorized))
            }
            Self::HttpMethod(matcher) => {
                pick(matcher.holds(request.method), (Reason::HttpMethodOk, Reason::HttpMethodUnauthorized))
            }
            Self::HttpPath(matcher) => {
                pick(matcher.holds(request.path), (Reason::HttpPathOk, Reason::HttpPathUnauthorized))
            }
            Self::CorsPreflight => pick(request.cors_preflight, (Reason::CorsRequest, Reason::NonCorsRequest)),
            Self::McpTool(matcher) => match request.mcp_tool {
                McpTool::Named(tool) => pick(matcher.holds(tool), (Reason::McpToolOk, Reason::McpToolUnauthorized)),
                McpTool::None => (Ternary::False, Reason::McpToolUnauthorized),
                // Neither an allow nor a deny may take what was not read for an answer.
                McpTool::Unread => (Ternary::Unknown, Reason::McpToolUnauthorized),
            },
            Self::Date(range) => pick(range.holds(facts.now), (Reason::DateOk, Reason::DateUnauthorized)),
            Self::DayOfWeek(days) => pick(days.holds(facts.now), (Reason::DayOfWeekOk, Reason::DayOfWeekUnauthorized)),
            Self::TimeOfDay(range) => {
                pick(range.holds(facts.now), (Reason::TimeOfDayOk, Reason::TimeOfDayUnauthorized))
            }
            Self::Record(matcher) => match facts.records {
                Some(records) => pick(matcher.holds(records), (Reason::RecordOk, Reason::RecordUnauthorized)),
                // As with a tool that was not read.
                None => (Ternary::Unknown, Reason::RecordUnauthorized),
            },
        }
    }

    /// Whether some request meets it, as far as its own text tells.
    fn can_hold(&self) -> bool {
        match self {
            Self::Reject => false,
            Self::HttpMethod(matcher) | Self::HttpPath(matcher) | Self::McpTool(matcher) => matcher.can_hold(),
            Self::SourceIp(networks) => !networks.is_empty(),
            Self::ClientCertificate(matcher) => matcher.can_hold(),
            Self::Date(range) => range.can_hold(),
            Self::DayOfWeek(days) => days.days != 0,
            Self::TimeOfDay(range) => range.can_hold(),
            Self::Accept | Self::InvalidClientCertificate | Self::CorsPreflight | Self::Record(_) => true,
        }
    }

    fn constant(&self) -> Option<bool> {
        if let Self::HttpMethod(matcher) | Self::HttpPath(matcher) = self {
            return matcher.is_empty().then_some(true);
        }
        let accepts = matches!(self, Self::Accept);
        (accepts || matches!(self, Self::Reject)).then_some(accepts)
    }
}

impl SubjectCriterion {
    /// A `domain` criterion: a domain is what follows the last `@` of an address, and without one there is none.
    pub(crate) fn domain(matcher: StringMatcher) -> Self {
        match matcher.only() {
            Some(domain) if !domain.contains('@') => Self::DomainIs(format!("@{domain}").into()),
            _ => Self::Domain(matcher),
        }
    }

    #[inline]
    fn find(&self, subject: &Subject) -> Finding {
        match self {
            Self::User(matcher) => {
                let holds = !subject.user_id.is_empty() && matcher.holds(&subject.user_id);
                pick(holds, (Reason::UserOk, Reason::UserUnauthorized))
            }
            Self::Email(matcher) => pick(matcher.holds(&subject.email), (Reason::EmailOk, Reason::EmailUnauthorized)),
            Self::DomainIs(ending) => {
                pick(ends(&subject.email, ending), (Reason::DomainOk, Reason::DomainUnauthorized))
            }
            Self::Domain(matcher) => {
                let domain = subject.email.rsplit_once('@').map(|(_, domain)| domain);
                let holds = domain.is_some_and(|domain| matcher.holds(domain));
                pick(holds, (Reason::DomainOk, Reason::DomainUnauthorized))
            }
            Self::Claim(claim) => pick(claim.holds(&subject.claims), (Reason::ClaimOk, Reason::ClaimUnauthorized)),
            Self::Groups(matcher) => {
                let holds = subject.groups.as_ref().is_some_and(|groups| matcher.holds_for_groups(groups));
                pick(holds, (Reason::GroupsOk, Reason::GroupsUnauthorized))
            }
            Self::Device(matcher) => matcher.find(subject),
            Self::Authenticated => pick(!subject.user_id.is_empty(), (Reason::UserOk, Reason::UserUnauthenticated)),
        }
    }

    /// Whether some subject meets it, as far as its own text tells.
    fn can_hold(&self) -> bool {
        match self {
            Self::User(matcher) => matcher.can_hold() && !matcher.is_exactly(""),
            Self::Domain(matcher) => matcher.can_hold() && !matcher.needs('@'),
            Self::Email(matcher) => matcher.can_hold(),
            Self::Groups(matcher) => matcher.can_hold_for_texts(),
            Self::Authenticated | Self::DomainIs(_) | Self::Claim(_) | Self::Device(_) => true,
        }
    }
}

impl ClaimMatcher {
    #[inline(never)]
    fn holds(&self, claims: &Claims) -> bool {
        self.values.holds(self.path.find(claims))
    }
}

impl DeviceMatcher {
    #[inline(never)]
    fn find(&self, subject: &Subject) -> Finding {
        let Self { kind, id, approval } = self;
        let mut outcome = (Ternary::Unknown, Reason::DeviceUnauthenticated);
        for device in subject.devices.iter().filter(|device| *device.kind == **kind) {
            let Some(device_id) = device.id.as_deref().filter(|id| !id.is_empty()) else { continue };
            let approved = match device.state {
                DeviceState::Unknown | DeviceState::Registered => continue,
                DeviceState::Enrolled => Approval::NotApproved,
                DeviceState::Approved => Approval::Approved,
            };
            let wanted = id.as_ref().is_none_or(|id| **id == *device_id);
            if wanted && (*approval == Approval::Either || *approval == approved) {
                return (Ternary::True, Reason::DeviceOk);
            }
            outcome = (Ternary::False, Reason::DeviceUnauthorized);
        }
        outcome
    }
}

#[inline(never)]
fn invalid_certificate(facts: &Facts<'_>) -> Finding {
    let certificate = &facts.request.client_certificate;
    if certificate.valid {
        (Ternary::False, Reason::ValidClientCertificate)
    } else if certificate.presented {
        (Ternary::True, Reason::InvalidClientCertificate)
    } else {
        (Ternary::True, Reason::ClientCertificateRequired)
    }
}

fn pick(holds: bool, (ok, unauthorized): (Reason, Reason)) -> Finding {
    if holds { (Ternary::True, ok) } else { (Ternary::False, unauthorized) }
}
