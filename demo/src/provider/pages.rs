//! What people see of the provider: the sign-in form and a few short pages.

use std::fmt::Write as _;

use http::StatusCode;

use super::Person;
use crate::site::{Answer, escape, page};

/// The sign-in form; it is sent back to the authorization endpoint with the request's own query.
#[derive(Debug)]
pub(super) struct SignInForm<'a> {
    /// The application that sent the browser here.
    pub(super) client: &'a str,
    /// The authorization request's query, as it came.
    pub(super) query: &'a str,
    /// What stands in the user field: the hint, or what was entered.
    pub(super) user: &'a str,
    /// Who could sign in.
    pub(super) people: &'a [Person],
}

impl SignInForm<'_> {
    /// The form as it first appears.
    pub(super) fn first(&self) -> Answer {
        self.page(StatusCode::OK, "")
    }

    /// The form after a wrong password.
    pub(super) fn again(&self) -> Answer {
        let wrong = r#"<p class="error" id="error" role="alert">Wrong user name or password. Here the password is the user name.</p>"#;
        self.page(StatusCode::UNAUTHORIZED, wrong)
    }

    fn page(&self, status: StatusCode, message: &str) -> Answer {
        let Self { client, query, user, people } = self;
        let (client, query, user, people) = (escape(client), escape(query), escape(user), list(people));
        let body = format!(
            r#"<h1>Sign in</h1>
<p class="lead">to continue to <strong>{client}</strong></p>
{message}
<form method="post" action="/authorize?{query}">
<label for="username">User name</label>
<input id="username" name="username" value="{user}" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">Sign in</button>
</form>
<section class="people" aria-labelledby="people"><h2 id="people">Accounts of this demonstration</h2>
<p>The password is the user name.</p><ul>{people}</ul></section>"#
        );
        html(status, "Sign in", &body)
    }
}

/// The start page: who could sign in.
pub(super) fn welcome(people: &[Person]) -> Answer {
    let people = list(people);
    let body = format!(
        r#"<h1>Demonstration provider</h1>
<p class="lead">An OpenID Provider for trying Portcullis. It asks for a password when an application sends you here.</p>
<section class="people"><h2>Accounts</h2><ul>{people}</ul></section>
<p><a href="/logout">Sign out here</a></p>"#
    );
    html(StatusCode::OK, "Demonstration provider", &body)
}

/// Asks before a sign-out that nobody vouches for.
pub(super) fn confirm_sign_out() -> Answer {
    let body = r#"<h1>Sign out?</h1><p class="lead">This ends your session at the demonstration provider.</p>
<form method="post" action="/logout"><button type="submit" name="confirm" value="yes">Sign out</button></form>"#;
    html(StatusCode::OK, "Sign out?", body)
}

/// After a sign-out without an address to return to.
pub(super) fn signed_out() -> Answer {
    html(StatusCode::OK, "Signed out", r#"<h1>Signed out</h1><p class="lead">Your session here has ended.</p>"#)
}

/// Something is wrong, and there is nobody to send the browser back to.
pub(super) fn problem(status: StatusCode, reason: &str) -> Answer {
    let body = format!(r#"<h1>That did not work</h1><p class="lead">{}</p>"#, escape(reason));
    html(status, "That did not work", &body)
}

fn list(people: &[Person]) -> String {
    let mut items = String::new();
    for Person { subject, about, claims: _, enabled } in people {
        let closed = if *enabled { "" } else { " (closed)" };
        // Writing to a String cannot fail.
        let _infallible = write!(items, "<li><code>{}</code> {}{closed}</li>", escape(subject), escape(about));
    }
    items
}

fn html(status: StatusCode, title: &str, body: &str) -> Answer {
    page(
        status,
        format!(
            r##"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Demonstration provider</title><link rel="stylesheet" href="/style.css">
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%230f766e'/%3E%3C/svg%3E"></head>
<body><main><p class="brand"><span aria-hidden="true"></span>Demonstration provider</p>
{body}
</main><footer>Part of <code>portcullis demo</code>. Nothing here is stored on disk.</footer></body></html>
"##
        ),
    )
}
