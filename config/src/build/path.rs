//! Which paths a route serves.

use std::sync::Arc;

use regex::Regex;

use super::{Build, rewrite};
use crate::field::Field;
use crate::report::Fault;
use crate::route::PathPattern;

/// What makes an expression match a path as a whole.
const WHOLE_FRONT: &str = r"\A(?:";
const WHOLE_END: &str = r")\z";

/// The keys that say which paths.
#[derive(Debug)]
pub(crate) struct PathKeys {
    pub(crate) prefix: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) regex: Option<String>,
}

/// Which paths a route serves.
pub(crate) fn pattern(build: &mut Build<'_>, at: &Field<'_>, keys: PathKeys) -> Option<PathPattern> {
    match keys {
        PathKeys { prefix: None, path: None, regex: None } => Some(PathPattern::Any),
        PathKeys { prefix: Some(text), path: None, regex: None } => {
            build.report.take(&at.key("prefix"), plain_path(&text))?;
            if text == "/" {
                return Some(PathPattern::Any);
            }
            if !text.ends_with('/') {
                let message = format!(
                    "`prefix: {text}` matches `{text}le` too: it is a prefix of the text, not of the path's segments"
                );
                build.report.warn(&at.key("prefix"), message, Some("end it with `/` to stop at a segment"));
            }
            Some(PathPattern::Prefix(text.into()))
        }
        PathKeys { prefix: None, path: Some(text), regex: None } => {
            build.report.take(&at.key("path"), plain_path(&text))?;
            Some(PathPattern::Exact(text.into()))
        }
        PathKeys { prefix: None, path: None, regex: Some(text) } => {
            let whole = format!("{WHOLE_FRONT}{text}{WHOLE_END}");
            let regex = build.report.take(&at.key("regex"), rewrite::expression(&whole, &text))?;
            Some(PathPattern::Regex(Arc::new(regex)))
        }
        PathKeys { prefix, path: _, regex } => {
            let (key, other) = match (prefix, regex) {
                (Some(_), Some(_)) => ("regex", "prefix"),
                (Some(_), None) => ("path", "prefix"),
                (None, _) => ("regex", "path"),
            };
            build.report.fault(
                &at.key(key),
                Fault::new(format!("contradicts `{other}`")).help("a route has one of `prefix`, `path` and `regex`"),
            );
            None
        }
    }
}

/// A path that a canonical request can have: no query, no dot segments.
fn plain_path(text: &str) -> Result<(), Fault> {
    rewrite::absolute_path(text)?;
    if text.contains(['?', '#']) {
        return Err(Fault::new("a path has neither query nor fragment"));
    }
    Ok(())
}

/// An expression as its author wrote it.
pub(crate) fn shown(regex: &Regex) -> &str {
    let text = regex.as_str();
    text.strip_prefix(WHOLE_FRONT).and_then(|text| text.strip_suffix(WHOLE_END)).unwrap_or(text)
}
