//! Keeps `docs/reference.md` what the schema says: `REGENERATE=1 cargo test --test reference` rewrites it.

#![expect(clippy::expect_used, reason = "a test says what it found by panicking")]

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference.md");

const HEAD: &str = "# Reference: every key\n\n\
    Made from the schema (`portcullis schema`), which editors can use for completion; a test keeps this page current.\n\
    What the keys are for, with examples: [configuration.md](configuration.md).\n";

#[test]
fn the_reference_is_what_the_schema_says() {
    let made = render(&portcullis_config::schema());
    #[expect(clippy::disallowed_methods, reason = "the switch of this test, not of the product")]
    let regenerate = std::env::var("REGENERATE").is_ok();
    if regenerate {
        fs::write(PATH, &made).expect("docs/reference.md can be written");
    }
    let kept = fs::read_to_string(PATH).unwrap_or_default();
    assert!(kept == made, "docs/reference.md is old: REGENERATE=1 cargo test --test reference");
}

fn render(schema: &Value) -> String {
    let mut text = HEAD.to_owned();
    write!(text, "\n## The file\n\n{}\n\n", word(schema, "description")).expect("a String takes text");
    table(&mut text, schema);
    let sections = schema["$defs"].as_object().expect("definitions");
    for (name, section) in sections {
        write!(text, "\n## {name}\n\n{}\n\n", line(word(section, "description"))).expect("a String takes text");
        if section["properties"].is_object() {
            table(&mut text, section);
        } else {
            writeln!(text, "{}", shape(section)).expect("a String takes text");
        }
    }
    text
}

fn table(text: &mut String, section: &Value) {
    let required: Vec<&str> = section["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    text.push_str("| Key | Value | Meaning |\n|---|---|---|\n");
    for (name, key) in section["properties"].as_object().into_iter().flatten() {
        let star = if required.contains(&name.as_str()) { " (required)" } else { "" };
        let default = key.get("default").map(|default| format!(" Default: `{default}`.")).unwrap_or_default();
        let meaning = line(word(key, "description"));
        writeln!(text, "| `{name}`{star} | {} | {meaning}{default} |", shape(key)).expect("a String takes text");
    }
}

/// What a value looks like, in a few words.
fn shape(value: &Value) -> String {
    if let Some(reference) = value["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(choices) = value[choice].as_array() {
            let shapes: Vec<String> = choices.iter().map(shape).collect();
            return shapes.join(" or ");
        }
    }
    if let Some(values) = value["enum"].as_array() {
        let words: Vec<String> =
            values.iter().map(|value| format!("`{}`", value.as_str().unwrap_or_default())).collect();
        return words.join(", ");
    }
    if let Some(word) = value["const"].as_str() {
        return format!("`{word}`");
    }
    match value["type"].as_str() {
        Some("array") => format!("list of {}", shape(&value["items"])),
        Some("object") if value["additionalProperties"].is_object() => {
            format!("map of {}", shape(&value["additionalProperties"]))
        }
        Some(kind) => kind.to_owned(),
        None => "any".to_owned(),
    }
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// One line that a table cell can hold.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
