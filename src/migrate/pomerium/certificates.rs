//! Certificates of the public listener, in every spelling.

use super::around::Whole;
use crate::migrate::scope::Scope;
use crate::migrate::tree::Tree;
use crate::migrate::values;

type Global<'a> = Scope<'a, Whole>;

/// Certificates of every spelling: pairs inline, pairs of files, and the list.
pub(crate) fn certificates(scope: &mut Global<'_>) {
    let mut pairs = Vec::new();
    let single = |inline: &str, file: &str| scope.given(inline).or_else(|| scope.given(file));
    let alone = (single("certificate", "certificate_file"), single("certificate_key", "certificate_key_file"));
    if let (Some(cert), Some(key)) = alone {
        pairs.push((cert, key, cert));
    }
    let list = scope.given("certificates").and_then(Tree::as_list).unwrap_or_default();
    for entry in list {
        match (entry.get("cert"), entry.get("key")) {
            (Some(cert), Some(key)) => pairs.push((cert, key, entry)),
            _ => {
                if let Some(member) = scope.member("certificates") {
                    scope.lost(member, "an entry without `cert` or `key`", "tls.certificates");
                }
            }
        }
    }
    let entries: Vec<Tree> =
        pairs.into_iter().map(|(cert, key, remarks)| certificate(scope, cert, key).with_remarks_of(remarks)).collect();
    if !entries.is_empty() {
        scope.out.set("tls.certificates", Tree::list(entries));
    }
}

fn certificate(scope: &mut Global<'_>, cert: &Tree, key: &Tree) -> Tree {
    let cert = cert.scalar().unwrap_or_default();
    let cert = match values::pem(&cert) {
        Some(pem) => scope.journal.secrets.file("tls.pem", "the chain of a certificate", &pem),
        None => Tree::file(cert),
    };
    let key = key.scalar().unwrap_or_default();
    let key = match values::pem(&key) {
        Some(pem) => scope.journal.secrets.file("tls.key", "the key of a certificate", &pem),
        None => Tree::file(key),
    };
    Tree::map([("cert", cert), ("key", key)])
}
