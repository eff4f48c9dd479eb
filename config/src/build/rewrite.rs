//! What becomes of a path on its way to the upstream.

use std::sync::Arc;

use regex::Regex;

use super::Build;
use crate::field::Field;
use crate::report::Fault;
use crate::route::{PathPattern, PathRewrite};

/// What the file says of the path.
#[derive(Debug)]
pub(crate) struct RewriteKeys {
    /// The path of `to`.
    pub(crate) base: Option<String>,
    pub(crate) prefix_rewrite: Option<String>,
    pub(crate) regex_rewrite_pattern: Option<String>,
    pub(crate) regex_rewrite_substitution: Option<String>,
}

/// How the path is rewritten.
pub(crate) fn rewrite(
    build: &mut Build<'_>,
    at: &Field<'_>,
    rewrites: RewriteKeys,
    path: &PathPattern,
) -> Option<PathRewrite> {
    let RewriteKeys { base, prefix_rewrite, regex_rewrite_pattern, regex_rewrite_substitution } = rewrites;
    let (key, prefix) = match (base, prefix_rewrite) {
        (Some(_), Some(_)) => {
            build.report.fault(&at.key("prefix_rewrite"), Fault::new("contradicts the path in `to`"));
            return None;
        }
        (Some(base), None) => ("to", Some(base)),
        (None, prefix) => ("prefix_rewrite", prefix),
    };
    let regex = match (regex_rewrite_pattern, regex_rewrite_substitution) {
        (Some(pattern), Some(substitution)) => Some((pattern, substitution)),
        (None, None) => None,
        (Some(_), None) => {
            build.report.fault(&at.key("regex_rewrite_pattern"), Fault::new("needs `regex_rewrite_substitution`"));
            return None;
        }
        (None, Some(_)) => {
            build.report.fault(&at.key("regex_rewrite_substitution"), Fault::new("needs `regex_rewrite_pattern`"));
            return None;
        }
    };
    match (prefix, regex) {
        (Some(_), Some(_)) => {
            build.report.fault(&at.key("regex_rewrite_pattern"), Fault::new(format!("contradicts `{key}`")));
            None
        }
        (Some(to), None) => build.report.take(&at.key(key), prefix_rewrite_of(to, path)),
        (None, Some((pattern, substitution))) => {
            let regex = build.report.take(&at.key("regex_rewrite_pattern"), expression(&pattern, &pattern))?;
            let at = at.key("regex_rewrite_substitution");
            let substitution = build.report.take(&at, self::substitution(&substitution, &regex))?;
            Some(PathRewrite::Regex { pattern: Arc::new(regex), substitution: substitution.into() })
        }
        (None, None) => Some(PathRewrite::Keep),
    }
}

fn prefix_rewrite_of(to: String, path: &PathPattern) -> Result<PathRewrite, Fault> {
    absolute_path(&to)?;
    // The gate would refuse every request of such a route: what is rewritten is the path alone.
    if to.contains(['?', '#']) {
        let fault = Fault::new(format!("`{to}` holds `?` or `#`"));
        return Err(fault.help("a path only; the request's own query travels on"));
    }
    let from: Arc<str> = match path {
        PathPattern::Any => "/".into(),
        PathPattern::Prefix(text) | PathPattern::Exact(text) => Arc::clone(text),
        PathPattern::Regex(_) => {
            return Err(Fault::new("a route with `regex` has no prefix to replace").help("use `regex_rewrite_pattern`"));
        }
    };
    // `/` replaced by `/base` would turn `/x` into `/basex`.
    let to = if from.ends_with('/') && !to.ends_with('/') { format!("{to}/") } else { to };
    Ok(PathRewrite::Prefix { from, to: to.into() })
}

/// A path that begins with a slash and stays where it is.
pub(crate) fn absolute_path(text: &str) -> Result<(), Fault> {
    if !text.starts_with('/') {
        return Err(Fault::new(format!("`{text}` is not a path")).help("a path begins with `/`"));
    }
    let path = text.split(['?', '#']).next().unwrap_or(text);
    if path.split('/').any(|segment| matches!(segment, "." | "..")) || path.contains('\\') {
        return Err(Fault::new(format!("`{text}` has dot segments or backslashes")));
    }
    if text.chars().any(|c| c.is_ascii_control() || c == ' ') {
        return Err(Fault::new("holds characters that a path cannot have"));
    }
    Ok(())
}

/// An expression of bounded size; `shown` is what the user wrote.
pub(crate) fn expression(pattern: &str, shown: &str) -> Result<Regex, Fault> {
    // The pattern alone must be one: what surrounds it must not complete it.
    let alone = regex::RegexBuilder::new(shown).size_limit(1 << 20).build();
    let built = alone.and_then(|_| regex::RegexBuilder::new(pattern).size_limit(1 << 20).build());
    built.map_err(|error| {
        let text = error.to_string();
        let cause = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Fault::new(format!("`{shown}` is not a regular expression: {cause}"))
    })
}

/// `\1` as the reference writes it, or `$1`, as the `regex` crate reads it; groups that are not there are refused.
fn substitution(text: &str, regex: &Regex) -> Result<String, Fault> {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if !matches!(c, '\\' | '$') {
            out.push(c);
            continue;
        }
        match rest.peek().copied() {
            Some('\\') if c == '\\' => {
                rest.next();
                out.push('\\');
            }
            Some('$') if c == '$' => {
                rest.next();
                out.push_str("$$");
            }
            Some('{') if c == '$' => out.push('$'),
            Some(digit) if digit.is_ascii_digit() => {
                rest.next();
                let group = digit.to_digit(10).and_then(|group| usize::try_from(group).ok()).unwrap_or(0);
                if group >= regex.captures_len() {
                    return Err(Fault::new(format!("group {group} is not in the pattern")));
                }
                out.push_str(&format!("${{{group}}}"));
            }
            _ if c == '$' => out.push_str("$$"),
            _ => return Err(Fault::new("a `\\` stands before a digit or another `\\`")),
        }
    }
    Ok(out)
}
