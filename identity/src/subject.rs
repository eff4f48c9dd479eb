//! What policy sees of whoever asks.

use std::sync::Arc;

use crate::{Claims, Groups};

/// The person or machine a decision is about: the facts that criteria about the subject read.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The provider's `sub`; empty if there is none.
    pub user_id: Arc<str>,
    /// The e-mail address, the directory's before the provider's; empty if there is none.
    pub email: Arc<str>,
    /// The display name; empty if there is none.
    pub name: Arc<str>,
    /// The session's claims overlaid by the user's.
    pub claims: Claims,
    /// The directory's groups; `None` where the directory does not know the user.
    pub groups: Option<Groups>,
    /// The devices this session has used.
    pub devices: Arc<[Device]>,
}

/// One group of the directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// What `groups` criteria compare.
    pub id: Arc<str>,
    /// The display name; empty if there is none.
    pub name: Arc<str>,
    /// The group's address; empty if there is none.
    pub email: Arc<str>,
}

/// A device that a session has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The kind of authenticator.
    pub kind: Arc<str>,
    /// Its id; `None`: the person has no such device.
    pub id: Option<Arc<str>>,
    /// How far its enrolment went.
    pub state: DeviceState,
}

/// How far a device's enrolment went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceState {
    /// No record of it.
    Unknown,
    /// Known, not enrolled.
    Registered,
    /// Enrolled by its owner.
    #[default]
    Enrolled,
    /// Enrolled, and approved by an administrator.
    Approved,
}
