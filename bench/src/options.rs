//! The options of growth and scale: `--name value`, each once.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// Reads this process's command line; only `known` names are taken.
    ///
    /// # Errors
    /// An unknown name, or one without a value.
    pub fn read(known: &[&str]) -> io::Result<Self> {
        Self::of(std::env::args().skip(1), known)
    }

    fn of(mut words: impl Iterator<Item = String>, known: &[&str]) -> io::Result<Self> {
        let mut options = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").filter(|name| known.contains(name));
            let name = name.ok_or_else(|| wrong(format!("unknown option {word}; there are {}", known.join(", "))))?;
            let value = words.next().ok_or_else(|| wrong(format!("{word} wants a value")))?;
            options.insert(name.to_owned(), value);
        }
        Ok(Self(options))
    }

    /// The value of an option.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// `--binary`, or the `portcullis` beside this program.
    ///
    /// # Errors
    /// This program's own path is not known.
    pub fn binary(&self) -> io::Result<PathBuf> {
        match self.get("binary") {
            Some(path) => Ok(PathBuf::from(path)),
            None => Ok(std::env::current_exe()?.with_file_name("portcullis")),
        }
    }
}

/// The numbers of a list, `10,100`; an empty text has none.
///
/// # Errors
/// Something in it is no number.
pub fn numbers<N: FromStr>(text: &str) -> io::Result<Vec<N>> {
    let words = text.split(',').filter(|word| !word.is_empty());
    words.map(|word| word.parse().map_err(|_| wrong(format!("`{word}` is no number")))).collect()
}

fn wrong(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_options_are_read_and_others_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>().into_iter();
        let options = Options::of(words("--out a.json --routes 10,100"), &["out", "routes"]).unwrap();
        assert_eq!(options.get("out"), Some("a.json"));
        assert_eq!(numbers::<usize>(options.get("routes").unwrap()).unwrap(), [10, 100]);
        assert!(Options::of(words("--uot a"), &["out"]).is_err());
        assert!(Options::of(words("--out"), &["out"]).is_err());
        assert!(numbers::<usize>("ten").is_err());
        assert!(numbers::<usize>("").unwrap().is_empty());
    }
}
