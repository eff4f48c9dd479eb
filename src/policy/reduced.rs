//! A configuration without everything that no decision looks at: secrets, certificates, upstreams. So policies can be
//! tested where the secrets are not, on a laptop or in CI.

use std::path::Path;
use std::sync::Arc;

use portcullis_config::{Config, ProcessEnvironment, from_text};
use portcullis_policy::yaml::Node;
use serde_json::{Map, Value, json};

use crate::policy::tree_json;

/// The keys that say how requests are read, and what a session is.
const KEPT: [&str; 5] = ["namespace", "sign_in", "session", "limits", "cookie"];

/// The keys that say which requests a route serves, and what a session must meet there. Access keys are compiled from
/// the whole file.
const KEPT_OF_ROUTES: [&str; 9] =
    ["name", "from", "prefix", "path", "regex", "providers", "session", "cors_allow_preflight", "encoded_slashes"];

/// The reduced configuration.
///
/// # Errors
/// What is wrong with it, by field: the places of its text say nothing to anybody.
pub(crate) fn config(tree: &Node, name: &str, base: &Path) -> Result<Arc<Config>, Vec<String>> {
    let text = document(tree).ok_or_else(Vec::new)?.to_string();
    let loaded = from_text(&text, name, base, &ProcessEnvironment).map_err(|error| {
        let problems = error.problems().iter();
        problems.map(|problem| format!("{name}: {}: {}", problem.field, problem.message)).collect::<Vec<_>>()
    })?;
    Ok(loaded.config)
}

fn document(tree: &Node) -> Option<Value> {
    let mut document = kept(tree, &KEPT)?;
    let providers = tree.get("providers").and_then(Node::as_mapping).unwrap_or_default();
    let reduced =
        providers.iter().map(|entry| Some((entry.key.to_string(), kept(&entry.value, &["issuer", "client_id"])?)));
    let reduced = reduced.collect::<Option<Map<String, Value>>>()?;
    let access =
        if reduced.is_empty() { "allow_public_unauthenticated_access" } else { "allow_any_authenticated_user" };
    let routes = tree.get("routes")?.as_list()?.iter().map(|route| {
        let mut route = kept(route, &KEPT_OF_ROUTES)?;
        let fields = route.as_object_mut()?;
        fields.insert("to".to_owned(), json!("http://127.0.0.1:9"));
        fields.insert(access.to_owned(), json!(true));
        Some(route)
    });
    let routes = routes.collect::<Option<Vec<Value>>>()?;
    let fields = document.as_object_mut()?;
    if let Some(listen) = tree.get("listen") {
        fields.insert("listen".to_owned(), kept(listen, &["public", "public_port"])?);
    }
    if !reduced.is_empty() {
        fields.insert("providers".to_owned(), Value::Object(reduced));
    }
    fields.insert("routes".to_owned(), Value::Array(routes));
    Some(document)
}

/// A mapping with only these keys.
fn kept(node: &Node, keys: &[&str]) -> Option<Value> {
    let entries = node.as_mapping()?.iter().filter(|entry| keys.contains(&&*entry.key));
    let fields = entries.map(|entry| {
        let value = serde_json::from_str(&tree_json::json(&entry.value)).ok()?;
        Some((entry.key.to_string(), value))
    });
    fields.collect::<Option<Map<String, Value>>>().map(Value::Object)
}
