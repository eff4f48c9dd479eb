//! How problems look.

use super::*;

fn problem(snippet: Option<&str>) -> Problem {
    Problem {
        file: "portcullis.yaml".into(),
        line: 7,
        column: 5,
        field: "routes[0].polcy".into(),
        message: "unknown key `polcy`".into(),
        help: Some("did you mean `policy`?".into()),
        snippet: snippet.map(Into::into),
    }
}

#[test]
fn plain_form_is_one_line() {
    let text = LoadError::new(vec![problem(None)], Vec::new()).to_string();
    assert_eq!(text, "portcullis.yaml:7:5: routes[0].polcy: unknown key `polcy` (did you mean `policy`?)");
}

#[test]
fn terminal_form_shows_the_line_with_its_number() {
    let text = LoadError::new(vec![problem(Some("    polcy: []"))], Vec::new()).for_terminal();
    assert!(text.contains("portcullis.yaml:7:5"), "{text}");
    assert!(text.contains("polcy: []"), "{text}");
    assert!(text.contains("did you mean"), "{text}");
}

#[test]
fn a_line_that_may_hold_a_secret_is_not_shown() {
    let text = LoadError::new(vec![problem(None)], Vec::new()).for_terminal();
    assert!(text.contains("unknown key"), "{text}");
    assert!(!text.contains("polcy: []"), "{text}");
}

#[test]
fn a_multibyte_line_is_labelled_on_character_bounds() {
    assert_eq!(word_at("  é: x", 3), (2, 3));
    assert_eq!(word_at("ab", 9), (2, 0));
}
