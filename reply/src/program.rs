//! A program that wants a person's session: never without that person's click.

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_identity::Session;

use crate::look::Policy;
use crate::page::ProgramPage;
use crate::{Caller, response};

/// The form of the confirmation page, sent by POST.
#[derive(Clone, Copy, Debug)]
pub struct ProgramForm<'a> {
    /// Where it is sent: path and query on this host.
    pub action: &'a str,
    /// The route host that the program wants to reach.
    pub host: &'a str,
    /// Where the program waits: scheme, host and port.
    pub program: &'a str,
    /// Where "No" leads: a path on this host.
    pub refuse: &'a str,
}

/// Asks whether a program may have this person's session: what a GET gets, which any site can cause.
#[must_use]
pub fn program_confirm(caller: &Caller<'_>, session: &Session, form: &ProgramForm<'_>) -> Response<Bytes> {
    response::html(caller, StatusCode::OK, Policy::Form, ProgramPage::new(caller, session, form).text())
}
