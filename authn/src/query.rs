//! The parameters of a request, each of them at most once.

use std::collections::BTreeMap;

use url::form_urlencoded;

/// The most parameters that are looked at; a provider's callback has five.
const MAX_PARAMETERS: usize = 32;

/// Decoded parameters. One that is given twice counts as not given (RFC 6749, 3.1): nobody can tell which
/// of the two was meant.
#[derive(Clone, Default)]
pub(crate) struct Query(BTreeMap<String, Option<String>>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()).take(MAX_PARAMETERS) {
            parameters
                .entry(name.into_owned())
                .and_modify(|seen| *seen = None)
                .or_insert_with(|| Some(value.into_owned()));
        }
        Self(parameters)
    }

    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Parameters hold codes and sealed messages: only their names are shown.
impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn a_parameter_given_twice_counts_as_not_given() {
        let query = Query::parse("code=a&state=s%2B1&code=b&x");
        assert_eq!((query.one("code"), query.has("code")), (None, true));
        assert_eq!(query.one("state"), Some("s+1"));
        assert_eq!(query.one("x"), Some(""));
        assert_eq!(query.one("iss"), None);
        assert!(!format!("{query:?}").contains("s+1"));
    }
}
