//! Who asks, as a line describes them, as the policy sees them.

use std::sync::Arc;

use jiff::Timestamp;
use portcullis_identity::{Claims, Device, DeviceState, Group, Groups, Subject};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::input::claims;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubjectLine<'a> {
    #[serde(borrow)]
    session: Option<SessionLine<'a>>,
    service_account: Option<ServiceAccountLine>,
    #[serde(borrow)]
    user: Option<UserLine<'a>>,
    directory: Option<DirectoryLine>,
    devices: Option<Vec<DeviceLine>>,
    #[serde(borrow)]
    impersonates: Option<Box<Self>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionLine<'a> {
    #[serde(rename = "id")]
    _id: Option<String>,
    user_id: Option<String>,
    expires_at: Option<String>,
    #[serde(borrow)]
    claims: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceAccountLine {
    #[serde(rename = "id")]
    _id: Option<String>,
    user_id: Option<String>,
    expires_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserLine<'a> {
    email: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    claims: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectoryLine {
    email: Option<String>,
    groups: Option<Vec<GroupLine>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupLine {
    id: Option<String>,
    name: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceLine {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    state: Option<StateLine>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateLine {
    Unknown,
    Registered,
    Enrolled,
    Approved,
}

/// A session or a service account, reduced to what counts.
struct Credential {
    user_id: String,
    alive: bool,
    claims: Claims,
    machine: bool,
}

impl SubjectLine<'_> {
    /// The subject at `now`; `None` where a session that counts has expired.
    pub(super) fn read(self, now: Timestamp) -> Result<Option<Subject>, String> {
        let Self { session, service_account, user, directory, devices, impersonates } = self;
        let own = Credential::read(session, service_account, now)?;
        let own_alive = own.alive;
        let own = own.subject(user, directory, devices.unwrap_or_default())?;
        // One level deep: whom the other one impersonates does not count.
        let seen = match impersonates.map(|other| *other) {
            None => own,
            Some(Self { session, service_account, user, directory, devices, impersonates: _ }) => Credential::read(
                session,
                service_account,
                now,
            )?
            .subject(user, directory, devices.unwrap_or_default())?,
        };
        Ok(seen.filter(|_| own_alive))
    }
}

impl Credential {
    fn read(
        session: Option<SessionLine<'_>>,
        service_account: Option<ServiceAccountLine>,
        now: Timestamp,
    ) -> Result<Self, String> {
        let alive = |field: &str, expires_at: Option<String>| match expires_at {
            Some(text) => instant(field, &text).map(|end| now < end),
            None => Ok(true),
        };
        match (session, service_account) {
            (Some(SessionLine { _id, user_id, expires_at, claims: raw }), None) => Ok(Self {
                user_id: user_id.unwrap_or_default(),
                alive: alive("subject.session.expires_at", expires_at)?,
                claims: claims("subject.session.claims", raw)?,
                machine: false,
            }),
            (None, Some(ServiceAccountLine { _id, user_id, expires_at })) => Ok(Self {
                user_id: user_id.unwrap_or_default(),
                alive: alive("subject.service_account.expires_at", expires_at)?,
                claims: Claims::default(),
                machine: true,
            }),
            (None, None) => Err("subject: one of `session` and `service_account` is needed".to_owned()),
            (Some(_), Some(_)) => Err("subject: `session` and `service_account` exclude each other".to_owned()),
        }
    }

    fn subject(
        self,
        user: Option<UserLine<'_>>,
        directory: Option<DirectoryLine>,
        devices: Vec<DeviceLine>,
    ) -> Result<Option<Subject>, String> {
        let Self { user_id, alive, claims: session_claims, machine } = self;
        let UserLine { email, name, claims: raw } = user.unwrap_or(UserLine { email: None, name: None, claims: None });
        let user_claims = claims("subject.user.claims", raw)?;
        if !alive {
            return Ok(None);
        }
        let (directory_email, groups) = match directory {
            Some(DirectoryLine { email, groups }) => (email, Some(groups.unwrap_or_default())),
            None => (None, None),
        };
        let address = directory_email.filter(|email| !email.is_empty()).or(email).unwrap_or_default();
        Ok(Some(Subject {
            user_id: user_id.into(),
            email: address.into(),
            name: name.unwrap_or_default().into(),
            claims: session_claims.overlaid(&user_claims),
            groups: groups.map(|groups| groups.into_iter().map(group).collect::<Groups>()),
            // Machines have no devices.
            devices: if machine { Arc::default() } else { devices.into_iter().map(device).collect() },
        }))
    }
}

fn group(line: GroupLine) -> Group {
    let GroupLine { id, name, email } = line;
    let text = |field: Option<String>| Arc::from(field.unwrap_or_default());
    Group { id: text(id), name: text(name), email: text(email) }
}

fn device(line: DeviceLine) -> Device {
    let DeviceLine { kind, id, state } = line;
    let state = match state.unwrap_or(StateLine::Enrolled) {
        StateLine::Unknown => DeviceState::Unknown,
        StateLine::Registered => DeviceState::Registered,
        StateLine::Enrolled => DeviceState::Enrolled,
        StateLine::Approved => DeviceState::Approved,
    };
    Device { kind: kind.unwrap_or_default().into(), id: id.map(Arc::from), state }
}

/// An instant as RFC 3339 writes it, no more and no less.
pub(super) fn instant(field: &str, text: &str) -> Result<Timestamp, String> {
    let parsed = is_rfc3339(text).then(|| text.parse::<Timestamp>().ok()).flatten();
    parsed.ok_or_else(|| format!("{field}: `{text}` is no RFC 3339 time"))
}

/// RFC 3339 §5.6: `2026-01-31T12:00:00[.5](Z|+01:00)`; the parser behind it accepts more.
fn is_rfc3339(text: &str) -> bool {
    let shape = |text: &[u8], pattern: &[u8]| {
        text.len() == pattern.len()
            && text.iter().zip(pattern).all(|(byte, want)| match want {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't' | b' '),
                _ => byte == want,
            })
    };
    let Some((moment, rest)) = text.as_bytes().split_at_checked(19) else { return false };
    let zone = match rest.strip_prefix(b".") {
        Some(rest) => {
            let zone = rest.trim_ascii_start_digits();
            if zone.len() == rest.len() {
                return false;
            }
            zone
        }
        None => rest,
    };
    shape(moment, b"0000-00-00T00:00:00")
        && (matches!(zone, b"Z" | b"z") || shape(zone, b"+00:00") || shape(zone, b"-00:00"))
}

/// What follows the leading digits.
trait Digits {
    fn trim_ascii_start_digits(&self) -> &Self;
}

impl Digits for [u8] {
    fn trim_ascii_start_digits(&self) -> &Self {
        let digits = self.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.get(digits..).unwrap_or_default()
    }
}
