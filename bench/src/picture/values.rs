//! Reading the yardstick's JSON without a word about what is missing: a picture shows what is there.

use serde_json::Value;

/// The entries of a list; none if there is no list.
pub fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// A text; empty if there is none.
#[must_use]
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A number, below several names.
#[must_use]
pub fn number(value: &Value, path: &[&str]) -> Option<f64> {
    path.iter().try_fold(value, |value, name| value.get(name))?.as_f64()
}

/// On what the figures were made, and how quiet it was there.
#[must_use]
pub fn made_on(document: &Value) -> String {
    let machine = document.get("machine").unwrap_or(&Value::Null);
    let mut parts = Vec::new();
    parts.extend(["date", "processor"].map(|name| text(machine, name).to_owned()));
    parts.extend(number(machine, &["cores"]).map(|cores| format!("{cores} cores")));
    if let Some((rounds, span)) = number(document, &["pairs"]).zip(number(document, &["milliseconds"])) {
        parts.push(format!("{rounds} rounds of {span} ms"));
    }
    parts.extend(number(machine, &["others"]).map(|share| format!("other programs took {:.0} % of it", share * 100.0)));
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

/// A number as a person reads it: three digits that count, thousands apart.
#[must_use]
pub fn shown(number: f64) -> String {
    if number.abs() >= 1000.0 {
        return apart(number);
    }
    let digits = if number.abs() >= 100.0 {
        0
    } else if number.abs() >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{number:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn apart(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if number < 0.0 { format!("−{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{made_on, shown};

    #[test]
    fn a_picture_says_on_what_it_was_made() {
        let machine = json!({ "date": "2026-01-02", "processor": "abacus", "cores": 2, "others": 0.034 });
        let document = json!({ "machine": machine, "pairs": 20, "milliseconds": 300 });
        assert_eq!(
            made_on(&document),
            "2026-01-02 · abacus · 2 cores · 20 rounds of 300 ms · other programs took 3 % of it"
        );
        assert_eq!(made_on(&json!({})), "");
    }

    #[test]
    fn numbers_have_as_many_digits_as_count() {
        let shown = [0.0, 0.5, 1.234, 12.34, 123.4, 12_345.6, 1_000_000.0].map(shown);
        assert_eq!(shown, ["0", "0.5", "1.23", "12.3", "123", "12\u{202f}346", "1\u{202f}000\u{202f}000"]);
    }
}
