//! What is wrong with a configuration, and where: for pipes one line each, for terminals with the source.

use std::fmt;

use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::ReferencedFile;

/// One mistake that keeps a configuration from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The configuration file, or the referenced file that is at fault.
    pub file: String,
    /// From 1; 0 where the mistake has no place in the text.
    pub line: usize,
    /// From 1, in characters; 0 where the mistake has no place in the text.
    pub column: usize,
    /// The way to the field: `routes[3].to`; empty for the whole file.
    pub field: String,
    /// What is wrong, in lower case and without a full stop; never a secret.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line of the file; `None` where it might hold a secret.
    pub snippet: Option<String>,
}

/// Something a careful reader would look at; the configuration is used all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The configuration file.
    pub file: String,
    /// From 1; 0 where it has no place in the text.
    pub line: usize,
    /// From 1, in characters; 0 where it has no place in the text.
    pub column: usize,
    /// The way to the field: `routes[3].to`; empty for the whole file.
    pub field: String,
    /// What there is to see.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Why a configuration is not used: every mistake that was found, in the order of the file. `Display` is
/// one `file:line:column: message` a line; [`LoadError::for_terminal`] shows the source too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    problems: Vec<Problem>,
    files: Vec<ReferencedFile>,
}

impl LoadError {
    /// The error of at least one problem, put into the order of the file; the first at each place stays, as
    /// others there only follow from it.
    pub(crate) fn new(mut problems: Vec<Problem>, files: Vec<ReferencedFile>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup_by(|next, first| next.line > 0 && (next.line, next.column) == (first.line, first.column));
        Self { problems, files }
    }

    /// The same error, of a load that began with this file.
    pub(crate) fn beside(mut self, file: ReferencedFile) -> Self {
        self.files.insert(0, file);
        self
    }

    /// Every mistake, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The files that were read or looked for, so that a watcher hears when somebody mends them.
    #[must_use]
    pub fn files(&self) -> &[ReferencedFile] {
        &self.files
    }

    /// The mistakes with their source lines, for a terminal; coloured where the terminal is.
    #[must_use]
    pub fn for_terminal(&self) -> String {
        let handler = miette::GraphicalReportHandler::new();
        let mut text = String::new();
        for problem in &self.problems {
            if handler.render_report(&mut text, &Shown(problem)).is_err() {
                text.push_str(&problem.to_string());
                text.push('\n');
            }
        }
        text
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// For `miette::Report`; [`LoadError::for_terminal`] shows more.
impl miette::Diagnostic for LoadError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        advice(f, self.help.as_deref())
    }
}

impl std::error::Error for Problem {}

/// A problem for a terminal: the frame around the source names the place, so the message does not.
#[derive(Debug)]
struct Shown<'a>(&'a Problem);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, line, column, field, message, help: _, snippet } = self.0;
        if snippet.is_none() {
            place(f, file, *line, *column)?;
        }
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        f.write_str(message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.snippet.is_some().then_some(self as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let line = self.0.snippet.as_deref()?;
        let (offset, length) = word_at(line, self.0.column);
        Some(Box::new(std::iter::once(LabeledSpan::underline((offset, length)))))
    }
}

/// One line of the file with its place: neighbouring lines stay unseen, as they might hold secrets.
impl SourceCode for Shown<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        _before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let line = self.0.snippet.as_deref().ok_or(MietteError::OutOfBounds)?;
        if span.offset().saturating_add(span.len()) > line.len() {
            return Err(MietteError::OutOfBounds);
        }
        let whole = SourceSpan::from((0, line.len()));
        let number = self.0.line.saturating_sub(1);
        let column = self.0.column.saturating_sub(1);
        Ok(Box::new(MietteSpanContents::new_named(self.0.file.clone(), line.as_bytes(), whole, number, column, 1)))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line, self.column)?;
        write!(f, "warning: {}", self.message)?;
        advice(f, self.help.as_deref())
    }
}

/// `file:line:column: `, or `file: ` for what has no place.
fn place(f: &mut fmt::Formatter<'_>, file: &str, line: usize, column: usize) -> fmt::Result {
    match line {
        0 => write!(f, "{file}: "),
        _ => write!(f, "{file}:{line}:{column}: "),
    }
}

fn advice(f: &mut fmt::Formatter<'_>, help: Option<&str>) -> fmt::Result {
    help.map_or(Ok(()), |help| write!(f, " ({help})"))
}

/// Byte offset and length of the word that begins at a column (from 1, in characters).
fn word_at(line: &str, column: usize) -> (usize, usize) {
    let start = line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(offset, _)| offset);
    let rest = line.get(start..).unwrap_or_default();
    let end = rest.find([' ', ',', '}', ']']).unwrap_or(rest.len());
    (start, end.max(usize::from(!rest.is_empty())))
}

#[cfg(test)]
mod tests;
