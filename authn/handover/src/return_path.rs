//! An address to return to: always a path on the host that asked, so that no redirect leaves it.

use std::fmt;

/// The most bytes of path and query that travel through a sign-in.
pub const MAX_RETURN_PATH: usize = 2048;

/// Path and query (and fragment, where the browser gave one) on a known host.
///
/// It begins with one `/`; a second `/` or a `\` behind it would make browsers read a host name. It has only
/// visible ASCII, no `\` anywhere in the path, and at most [`MAX_RETURN_PATH`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReturnPath(String);

/// Why a text is no address to return to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsafeReturnPath {
    /// It does not begin with `/`: an absolute URL, or nothing.
    #[error("return path does not begin with a slash")]
    NotAbsolute,
    /// It begins with `//` or `/\`, which browsers read as another host.
    #[error("return path names a host")]
    NamesAHost,
    /// A control character, a space, a backslash or something outside ASCII.
    #[error("return path has a character that does not belong into a URL")]
    BadCharacter,
    /// Longer than [`MAX_RETURN_PATH`].
    #[error("return path has more than {MAX_RETURN_PATH} bytes")]
    TooLong,
}

impl ReturnPath {
    /// Checks a path with its query.
    ///
    /// # Errors
    /// [`UnsafeReturnPath`] says what is wrong.
    pub fn new(text: impl Into<String>) -> Result<Self, UnsafeReturnPath> {
        let text = text.into();
        let rest = text.strip_prefix('/').ok_or(UnsafeReturnPath::NotAbsolute)?;
        if rest.starts_with(['/', '\\']) {
            return Err(UnsafeReturnPath::NamesAHost);
        }
        if text.len() > MAX_RETURN_PATH {
            return Err(UnsafeReturnPath::TooLong);
        }
        // Browsers drop tabs and line ends inside a URL: `/<tab>/evil` would name a host after all.
        if text.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'\\') {
            return Err(UnsafeReturnPath::BadCharacter);
        }
        Ok(Self(text))
    }

    /// The path if it is safe, else `/`: a sign-in does not fail for a path that cannot be kept.
    #[must_use]
    pub fn or_root(text: &str) -> Self {
        Self::new(text).unwrap_or_else(|_| Self::root())
    }

    /// `/`.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// The path with its query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReturnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_paths_on_the_same_host_are_return_paths() {
        let long = format!("/{}", "a".repeat(MAX_RETURN_PATH));
        let cases = [
            ("/", Ok(())),
            ("/wiki/page?id=5&next=https://evil.test/", Ok(())),
            ("/a//b", Ok(())),
            ("/#fragment", Ok(())),
            ("/?//evil.test", Ok(())),
            ("", Err(UnsafeReturnPath::NotAbsolute)),
            ("wiki", Err(UnsafeReturnPath::NotAbsolute)),
            ("https://evil.test/", Err(UnsafeReturnPath::NotAbsolute)),
            ("javascript:alert(1)", Err(UnsafeReturnPath::NotAbsolute)),
            ("\\/evil.test", Err(UnsafeReturnPath::NotAbsolute)),
            (" /", Err(UnsafeReturnPath::NotAbsolute)),
            ("//evil.test", Err(UnsafeReturnPath::NamesAHost)),
            ("///evil.test", Err(UnsafeReturnPath::NamesAHost)),
            ("/\\evil.test", Err(UnsafeReturnPath::NamesAHost)),
            ("/\t/evil.test", Err(UnsafeReturnPath::BadCharacter)),
            ("/\n/evil.test", Err(UnsafeReturnPath::BadCharacter)),
            ("/a\r\nSet-Cookie: a=b", Err(UnsafeReturnPath::BadCharacter)),
            ("/a\0", Err(UnsafeReturnPath::BadCharacter)),
            ("/a b", Err(UnsafeReturnPath::BadCharacter)),
            ("/ä", Err(UnsafeReturnPath::BadCharacter)),
            ("/a\\b", Err(UnsafeReturnPath::BadCharacter)),
            (&long, Err(UnsafeReturnPath::TooLong)),
            (long.strip_suffix('a').unwrap(), Ok(())),
        ];
        for (text, expected) in cases {
            assert_eq!(ReturnPath::new(text).map(|_| ()), expected, "{text:?}");
            let kept = ReturnPath::or_root(text);
            assert_eq!(kept.as_str(), if expected.is_ok() { text } else { "/" });
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_resolves_to_the_same_host(text in "[/\\\\a-c?#:@\t .]{0,12}") {
            if let Ok(path) = ReturnPath::new(text) {
                let second = path.as_str().chars().nth(1);
                prop_assert!(path.as_str().starts_with('/') && second != Some('/') && second != Some('\\'));
                prop_assert!(!path.as_str().contains(['\t', ' ', '\\']));
            }
        }
    }
}
