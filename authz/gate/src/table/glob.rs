//! Host patterns with `*` in any place.

/// A pattern in which `*` stands for any characters, none and dots among them.
#[derive(Debug)]
pub(super) struct Glob {
    pattern: Box<str>,
    first: Box<str>,
    /// What stands between the first and the last `*`.
    middle: Vec<Box<str>>,
    last: Option<Box<str>>,
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        let mut pieces: Vec<Box<str>> = pattern.split('*').map(Into::into).collect();
        let last = if pieces.len() > 1 { pieces.pop() } else { None };
        let mut pieces = pieces.into_iter();
        let first = pieces.next().unwrap_or_default();
        Self { pattern: pattern.into(), first, middle: pieces.collect(), last }
    }

    /// Whether this was made of `pattern`.
    pub(super) fn is(&self, pattern: &str) -> bool {
        *self.pattern == *pattern
    }

    /// Whether the whole of `host` matches. The leftmost place for each piece is as good as any other, so one
    /// pass is enough.
    pub(super) fn matches(&self, host: &str) -> bool {
        let Some(last) = &self.last else { return *self.first == *host };
        let Some(mut rest) = host.strip_prefix(&*self.first) else { return false };
        for piece in &self.middle {
            match rest.split_once(&**piece) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        rest.ends_with(&**last)
    }
}
