//! What is wrong with a policy, and where.

use std::fmt;

/// One finding about a policy's text. An error refuses it; a warning is only shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one clause.
    pub message: String,
    /// The line, from 1; 0 where no place fits.
    pub line: usize,
    /// The column in characters, from 1; 0 where no place fits.
    pub column: usize,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A finding at a place.
    pub(crate) fn at(place: crate::yaml::Place, message: impl Into<String>) -> Self {
        Self { message: message.into(), line: place.line, column: place.column, help: None }
    }

    /// A finding that no place fits.
    pub(crate) fn anywhere(message: impl Into<String>) -> Self {
        Self { message: message.into(), line: 0, column: 0, help: None }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// `line:column: message`, or the message alone where no place fits.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, line, column, help: _ } = self;
        if *line > 0 {
            write!(f, "{line}:{column}: ")?;
        }
        f.write_str(message)
    }
}

impl std::error::Error for Diagnostic {}

/// The candidate closest to a misspelt word, if one is close enough to be meant: "did you mean".
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are never misspelt names, and the table below would grow with them.
    if word.len() > 64 {
        return None;
    }
    let reach = (word.chars().count() / 3).clamp(1, 3);
    let lower = word.to_lowercase();
    let scored = candidates.into_iter().map(|candidate| (distance(&lower, candidate), candidate));
    scored.filter(|(distance, _)| *distance <= reach).min_by_key(|(distance, _)| *distance).map(|(_, best)| best)
}

/// `, did you mean …?` or nothing.
pub(crate) fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|best| format!(", did you mean `{best}`?")).unwrap_or_default()
}

/// Insertions, deletions, replacements and exchanges of neighbours, one each.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let replaced = cell(&above, j) + usize::from(x != y);
            let mut best = replaced.min(cell(&above, j + 1) + 1).min(cell(&row, j) + 1);
            let exchanged = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if exchanged {
                best = best.min(cell(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelt_word_finds_its_neighbour() {
        let words = ["email", "domain", "user", "groups", "http_method"];
        for (given, meant) in
            [("emial", "email"), ("Email", "email"), ("group", "groups"), ("htp_metod", "http_method")]
        {
            assert_eq!(nearest(given, words), Some(meant));
        }
        assert_eq!(nearest("weather", words), None);
        assert_eq!(nearest("", words), None);
    }
}
