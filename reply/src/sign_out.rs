//! Signing out: a form that asks, and a page that says it is done.

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_identity::Session;

use crate::look::Policy;
use crate::page::{SignOutPage, SignedOutPage};
use crate::{Caller, response};

/// The form of the confirmation page, sent by POST.
#[derive(Clone, Copy, Debug)]
pub struct SignOutForm<'a> {
    /// Where it is sent: a path on this host.
    pub action: &'a str,
    /// Hidden fields, in pairs of name and value.
    pub fields: &'a [(&'a str, &'a str)],
    /// Where "Stay signed in" leads: a path on this host.
    pub stay: &'a str,
}

/// Asks whether to sign out: what a GET gets, which any site can cause.
#[must_use]
pub fn sign_out_confirm(caller: &Caller<'_>, session: Option<&Session>, form: &SignOutForm<'_>) -> Response<Bytes> {
    response::html(caller, StatusCode::OK, Policy::Form, SignOutPage::new(caller, session, form).text())
}

/// Says that the session is over everywhere. `again_url` is where to sign in again.
#[must_use]
pub fn signed_out(caller: &Caller<'_>, again_url: Option<&str>) -> Response<Bytes> {
    response::html(caller, StatusCode::OK, Policy::Plain, SignedOutPage::new(caller, again_url).text())
}
