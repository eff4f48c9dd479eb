//! Response headers of every route: what the file says, or what the reference adds by itself.

use super::around::Whole;
use crate::migrate::scope::Scope;
use crate::migrate::tree::{Tree, Value};

type Global<'a> = Scope<'a, Whole>;

/// Headers that the reference adds to every answer unless the file says otherwise.
const USUAL_RESPONSE_HEADERS: [(&str, &str); 2] =
    [("X-Frame-Options", "SAMEORIGIN"), ("X-XSS-Protection", "1; mode=block")];
const HSTS: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains; preload");

/// What the file says, or what the reference adds by itself.
pub(crate) fn response_headers(scope: &mut Global<'_>) {
    let Some(member) = scope.member("set_response_headers").filter(|member| !matches!(member.value.value, Value::Null))
    else {
        let mut headers: Tree = Value::Map(Vec::new()).into();
        let secure = ["certificate", "certificate_file", "certificates", "autocert"];
        let hsts = secure.iter().any(|key| scope.given(key).is_some_and(|value| !value.is_off()));
        for (name, value) in USUAL_RESPONSE_HEADERS.into_iter().chain(hsts.then_some(HSTS)) {
            headers.set(name, Tree::text(value));
        }
        scope.out.set("upstreams.set_response_headers", headers.remarked("Pomerium sets these by itself."));
        return;
    };
    if member.value.as_text() == Some("disable") || member.value.get("disable").is_some() {
        return;
    }
    let mut headers: Tree = Value::Map(Vec::new()).into();
    for header in member.value.members() {
        match header.value.scalar() {
            Some(text) => headers.set(&header.key, Tree::text(text).with_remarks_of(&header.value)),
            None => scope.lost(header, "is no text", "upstreams.set_response_headers"),
        }
    }
    if !headers.members().is_empty() {
        scope.out.set("upstreams.set_response_headers", headers.with_remarks_of(&member.value));
    }
}
