//! Whatever the text, a load ends with a configuration or with problems, never with a panic; and what it says
//! names a place inside the text.

use proptest::prelude::*;

use crate::scene::{HEAD, Scene};

/// Pieces from which configurations, nearly right and quite wrong ones, are put together.
const PIECES: [&str; 40] = [
    "routes:\n",
    "  - ",
    "    ",
    "from: ",
    "https://a.test",
    "to: ",
    "http://b",
    "\n",
    ": ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "policy: ",
    "allow",
    "and",
    "domain",
    "- ",
    "sign_in: ",
    "host: ",
    "providers:\n",
    "  corp: ",
    "issuer: ",
    "client_id: x",
    "30s",
    "timeout: ",
    "null",
    "~",
    "'",
    "\"",
    "*a",
    "&a ",
    "<<: ",
    "prefix: /x",
    "regex: (",
    "é",
    "\t",
    "# c",
    "true",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(indices in proptest::collection::vec(0..PIECES.len(), 0..40)) {
        let text: String = indices.iter().map(|index| PIECES[*index]).collect();
        let lines = text.lines().count();
        if let Err(error) = Scene::bare().load(&text) {
            prop_assert!(!error.problems().is_empty());
            prop_assert!(error.problems().iter().all(|problem| problem.line <= lines + 1), "{}", error);
            prop_assert!(!error.for_terminal().is_empty());
        }
    }

    #[test]
    fn no_change_of_one_character_panics(at in 0_usize..400, with in any::<char>()) {
        let text = format!("{HEAD}routes:\n  - from: https://a.test\n    to: ['http://b,2', https://c]\n    prefix: /x/\n    \
            set_request_headers: {{X-A: '${{pomerium.jwt}}'}}\n    policy: [{{allow: {{and: [{{domain: corp.test}}]}}}}]\n");
        let changed: String = text.chars().enumerate().map(|(index, c)| if index == at { with } else { c }).collect();
        if let Err(error) = Scene::bare().load(&changed) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
