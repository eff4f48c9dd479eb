//! What is asked of clients' certificates. Every key here protects: what cannot be kept is told as a loss.

use super::around::Whole;
use crate::migrate::scope::Scope;
use crate::migrate::tree::{Member, Tree};
use crate::migrate::values;

type Global<'a> = Scope<'a, Whole>;

/// The section, which ours has too.
pub(crate) fn downstream_mtls(scope: &mut Global<'_>, member: &Member) {
    let given = |key: &str| member.value.get(key).is_some_and(|value| !value.is_off());
    let has_roots = given("ca") || given("ca_file") || routes_have_roots(scope);
    let before = std::mem::replace(&mut scope.prefix, "downstream_mtls.".to_owned());
    for inner in member.value.members() {
        let key = inner.key.to_ascii_lowercase();
        match key.as_str() {
            "max_verify_depth" if inner.value.as_text() != Some("") => keep(scope, &key, inner),
            _ if inner.value.is_off() => {}
            "ca" | "ca_file" | "crl" | "crl_file" | "enforcement" | "match_subject_alt_names" if !has_roots => {
                scope.note(inner, "has no effect without `ca`, there as here");
            }
            "ca" | "crl" => pem(scope, &key, &inner.value),
            "ca_file" | "crl_file" if given(key.trim_end_matches("_file")) => {
                scope.note(inner, &format!("has no effect beside `{}`", key.trim_end_matches("_file")));
            }
            "ca_file" | "crl_file" | "match_subject_alt_names" => keep(scope, &key, inner),
            "enforcement" => {
                let name = inner.value.scalar().unwrap_or_default().to_ascii_lowercase();
                scope.out.set("downstream_mtls.enforcement", Tree::text(name).with_remarks_of(&inner.value));
            }
            _ => scope.protects(inner, "an unknown key of a section that protects", ""),
        }
    }
    scope.prefix = before;
}

/// The settings before there was a section.
pub(crate) fn before_the_section(scope: &mut Global<'_>, member: &Member) {
    if member.value.is_off() {
        return;
    }
    if scope.given("downstream_mtls").is_some_and(|section| !section.is_off()) {
        return scope.note(member, "has no effect beside `downstream_mtls`");
    }
    let key = member.key.to_ascii_lowercase();
    match key.trim_start_matches("client_") {
        key @ ("ca_file" | "crl_file") => keep(scope, key, member),
        key => pem(scope, key, &member.value),
    }
}

fn routes_have_roots(scope: &Global<'_>) -> bool {
    let routes = ["policy", "routes"].into_iter().filter_map(|key| scope.given(key)?.as_list()).flatten();
    let mut keys = routes.flat_map(Tree::members).filter(|member| !member.value.is_off());
    keys.any(|member| member.key.to_ascii_lowercase().starts_with("tls_downstream_client_ca"))
}

fn keep(scope: &mut Global<'_>, key: &str, member: &Member) {
    scope.out.set(&format!("downstream_mtls.{key}"), member.value.clone());
}

fn pem(scope: &mut Global<'_>, key: &str, value: &Tree) {
    let text = value.scalar().unwrap_or_default();
    let (path, text) = match values::pem(&text) {
        Some(pem) => (format!("downstream_mtls.{key}"), pem),
        // As a restriction it must not vanish: a file that is not there refuses the whole configuration.
        None => (format!("downstream_mtls.{key}_file"), text),
    };
    scope.out.set(&path, Tree::text(text).with_remarks_of(value));
}
