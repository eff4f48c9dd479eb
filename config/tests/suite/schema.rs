//! The JSON Schema that editors use.

use portcullis_config::schema;

#[test]
fn every_key_is_described_and_unknown_ones_are_refused() {
    let schema = schema();
    assert_eq!(schema["additionalProperties"], false);
    let mut undescribed = Vec::new();
    let definitions = schema["$defs"].as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value));
    for (name, definition) in definitions.chain([("", &schema)]) {
        let Some(properties) = definition["properties"].as_object() else { continue };
        for (key, property) in properties {
            if property["description"].as_str().is_none_or(str::is_empty) {
                undescribed.push(format!("{name}.{key}"));
            }
        }
    }
    assert_eq!(undescribed, Vec::<String>::new());
}

#[test]
fn no_key_may_be_empty() {
    assert!(!schema().to_string().contains("\"null\""));
}

#[test]
fn the_keys_of_design_are_there() {
    let schema = schema();
    let sections = schema["properties"].as_object().unwrap();
    for section in [
        "services",
        "directories",
        "listen",
        "tls",
        "sign_in",
        "providers",
        "session",
        "cookie",
        "namespace",
        "secret",
        "replica",
        "storage",
        "assertion",
        "upstreams",
        "limits",
        "drain",
        "telemetry",
        "decisions",
        "siblings",
        "policies",
        "routes",
    ] {
        assert!(sections.contains_key(section), "{section}");
    }
    let route = &schema["$defs"]["RouteEntry"]["properties"];
    for key in
        ["from", "to", "prefix", "policy", "allowed_users", "tls_custom_ca_file", "set_request_headers", "session"]
    {
        assert!(route[key].is_object(), "{key}");
    }
}
