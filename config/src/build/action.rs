//! What a route does when it does not forward: redirects and fixed answers.

use http::StatusCode;

use super::{Build, host};
use crate::field::Field;
use crate::report::Fault;
use crate::route::{Action, PathPattern, Redirect, RedirectPath};
use crate::schema::{RedirectEntry, ResponseEntry};

/// The longest body of a fixed answer.
const MAX_BODY: usize = 64 * 1024;

/// A redirect.
pub(crate) fn redirect(
    build: &mut Build<'_>,
    at: &Field<'_>,
    entry: RedirectEntry,
    route: &PathPattern,
) -> Option<Action> {
    let RedirectEntry {
        https_redirect,
        scheme_redirect,
        host_redirect,
        port_redirect,
        path_redirect,
        prefix_rewrite,
        response_code,
        strip_query,
    } = entry;
    let scheme = match (https_redirect, scheme_redirect) {
        (true, Some(_)) => {
            build.report.fault(&at.key("scheme_redirect"), Fault::new("contradicts `https_redirect`"));
            return None;
        }
        (true, None) => Some("https".into()),
        (false, Some(scheme)) if matches!(scheme.as_str(), "http" | "https") => Some(scheme.into()),
        (false, Some(scheme)) => {
            let fault = Fault::new(format!("a redirect goes to http or https, not to `{scheme}`"));
            build.report.fault(&at.key("scheme_redirect"), fault);
            return None;
        }
        (false, None) => None,
    };
    let host = match host_redirect {
        Some(host) => Some(build.report.take(&at.key("host_redirect"), host::canonical(&host))?),
        None => None,
    };
    if port_redirect == Some(0) {
        build.report.fault(&at.key("port_redirect"), Fault::new("0 is not a port"));
    }
    let path = match (path_redirect, prefix_rewrite) {
        (Some(_), Some(_)) => {
            build.report.fault(&at.key("prefix_rewrite"), Fault::new("contradicts `path_redirect`"));
            return None;
        }
        (Some(path), None) => {
            build.report.take(&at.key("path_redirect"), super::rewrite::absolute_path(&path))?;
            RedirectPath::Replace(path.into())
        }
        (None, Some(prefix)) => {
            build.report.take(&at.key("prefix_rewrite"), super::rewrite::absolute_path(&prefix))?;
            if matches!(route, PathPattern::Regex(_)) {
                build
                    .report
                    .fault(&at.key("prefix_rewrite"), Fault::new("a route with `regex` has no prefix to replace"));
            }
            RedirectPath::Prefix(prefix.into())
        }
        (None, None) => RedirectPath::Keep,
    };
    let same_place = scheme.is_none() && host.is_none() && port_redirect.is_none();
    if same_place && matches!(path, RedirectPath::Keep) {
        build.report.fault(at, Fault::new("redirects to where the request already is"));
    }
    let status = build.report.take(&at.key("response_code"), redirect_status(response_code))?;
    Some(Action::Redirect(Redirect { scheme, host, port: port_redirect, path, status, strip_query }))
}

fn redirect_status(code: Option<u16>) -> Result<StatusCode, Fault> {
    let code = code.unwrap_or(301);
    let known = [301, 302, 303, 307, 308].contains(&code);
    let status = StatusCode::from_u16(code).ok().filter(|_| known);
    status.ok_or_else(|| Fault::new(format!("{code} is not a redirect")).help("301, 302, 303, 307 and 308 are"))
}

/// A fixed answer.
pub(crate) fn response(build: &mut Build<'_>, at: &Field<'_>, entry: ResponseEntry) -> Option<Action> {
    let ResponseEntry { status, body } = entry;
    if body.len() > MAX_BODY {
        build.report.fault(&at.key("body"), Fault::new("is longer than 64 KiB"));
    }
    let final_status = StatusCode::from_u16(status).ok().filter(|_| (200..600).contains(&status));
    let status = final_status
        .ok_or_else(|| Fault::new(format!("{status} is not the status of an answer")).help("200 to 599 are"));
    let status = build.report.take(&at.key("status"), status)?;
    Some(Action::Respond { status, body: body.into() })
}
