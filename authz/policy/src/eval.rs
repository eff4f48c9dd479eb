//! `policy eval`: decides recorded or invented requests, JSON lines in, JSON lines out.
//!
//! Each line is decided on its own, through the same compiled program as in the proxy. A refused policy or a
//! denied request is an answer; only a line that is not what the command reads makes it end otherwise.

mod answer;
mod input;
mod lines;
mod path;
mod subject;

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::rc::Rc;

use portcullis_identity::{Clock, Records, Subject, Timestamp};

use crate::{ACCESS_KEYS, Compiled, Diagnostic, SharedPolicies, compile_policy, compile_route, yaml};
use input::Case;
use lines::{Line, Lines};

/// The longest line, in bytes, without its end.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// How many compiled policies are kept for later lines.
const MAX_KEPT_POLICIES: usize = 1024;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every line was answered by a decision or by what is wrong with its policy.
    Complete,
    /// Some line was not what the command reads.
    BadInput,
}

impl Outcome {
    /// The exit status of the command.
    #[must_use]
    pub const fn status(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::BadInput => 2,
        }
    }
}

/// Answers every line of `input` on `output`, in order. What is answered is written out before more input is
/// waited for. `clock` gives the instant of lines that have none.
///
/// # Errors
/// If `input` cannot be read or `output` cannot be written.
pub fn run(input: impl BufRead, mut output: impl Write, clock: &dyn Clock) -> io::Result<Outcome> {
    let mut lines = Lines::new(input);
    let mut policies = Policies::default();
    let mut outcome = Outcome::Complete;
    let mut answers = String::new();
    loop {
        while let Some(line) = lines.buffered() {
            let answered = match line {
                Line::Complete(bytes) => line_answer(bytes, &mut policies, clock, &mut answers),
                Line::TooLong => Err(("", format!("the line is longer than {MAX_LINE_BYTES} bytes")).into()),
            };
            if let Err(Refusal { id, message }) = answered {
                answer::refused(&id, &Diagnostic::anywhere(format!("input: {message}")), &mut answers);
                outcome = Outcome::BadInput;
            }
        }
        output.write_all(answers.as_bytes())?;
        output.flush()?;
        answers.clear();
        if !lines.read()? {
            return Ok(outcome);
        }
    }
}

/// Reads who asks, as the `subject` of a line describes them (JSON); `None`: nobody, or a session that is over
/// at `now`.
///
/// # Errors
/// What is wrong with it, beginning with the field.
pub fn subject(json: &str, now: Timestamp) -> Result<Option<Subject>, String> {
    let line: Option<subject::SubjectLine<'_>> = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let now = jiff::Timestamp::from_millisecond(now.unix_millis()).map_err(|error| error.to_string())?;
    Ok(line.map(|line| line.read(now)).transpose()?.flatten())
}

/// Reads `records`, as a line gives them (JSON).
///
/// # Errors
/// What is wrong with them.
pub fn records(json: &str) -> Result<Records, String> {
    input::records(serde_json::from_str(json).map_err(|error| error.to_string())?)
}

/// Reads an instant as RFC 3339 writes it, to the millisecond; `field` begins the error.
///
/// # Errors
/// If it is no such instant.
pub fn instant(field: &str, text: &str) -> Result<Timestamp, String> {
    subject::instant(field, text).map(|exact| Timestamp::from_unix_millis(exact.as_millisecond()))
}

/// A line that is not what the command reads.
struct Refusal {
    id: String,
    message: String,
}

impl<'a> From<(&'a str, String)> for Refusal {
    fn from((id, message): (&'a str, String)) -> Self {
        Self { id: id.to_owned(), message }
    }
}

fn line_answer(bytes: &[u8], policies: &mut Policies, clock: &dyn Clock, out: &mut String) -> Result<(), Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| ("", "the line is not UTF-8".to_owned()))?;
    let line: input::Line<'_> = serde_json::from_str(text).map_err(|error| {
        // The id is given back where it can be found, so that the answer can be told from others.
        Refusal { id: input::id_of(text), message: error.to_string() }
    })?;
    let id = line.id().to_owned();
    let case = Case::read(line, clock).map_err(|message| (id.as_str(), message))?;
    match &*policies.compiled(case.text()) {
        Ok(compiled) => answer::decided(&id, &compiled.program.evaluate(&case.facts()), out),
        Err(diagnostic) => answer::refused(&id, diagnostic, out),
    }
    Ok(())
}

/// What a line is decided against.
#[derive(Clone, Copy)]
enum Text<'a> {
    Policy(&'a str),
    Route(&'a str),
}

/// Policies by their text: most runs have few of them.
#[derive(Default)]
struct Policies {
    policies: HashMap<String, Rc<Result<Compiled, Diagnostic>>>,
    routes: HashMap<String, Rc<Result<Compiled, Diagnostic>>>,
}

impl Policies {
    fn compiled(&mut self, text: Text<'_>) -> Rc<Result<Compiled, Diagnostic>> {
        let (kept, text, compile) = match text {
            Text::Policy(text) => (&mut self.policies, text, policy as fn(&str) -> _),
            Text::Route(text) => (&mut self.routes, text, route as fn(&str) -> _),
        };
        if let Some(found) = kept.get(text) {
            return Rc::clone(found);
        }
        if kept.len() >= MAX_KEPT_POLICIES {
            kept.clear();
        }
        let compiled = Rc::new(compile(text));
        kept.insert(text.to_owned(), Rc::clone(&compiled));
        compiled
    }
}

fn policy(text: &str) -> Result<Compiled, Diagnostic> {
    compile_policy(&yaml::parse(text)?)
}

fn route(text: &str) -> Result<Compiled, Diagnostic> {
    let tree = yaml::parse(text)?;
    // Here a route is nothing but its access keys, so that a misspelt one cannot go unseen.
    for entry in tree.as_mapping().unwrap_or_default() {
        if !ACCESS_KEYS.contains(&&*entry.key) {
            let suggestion = crate::diagnostic::suggestion(&entry.key, ACCESS_KEYS);
            let message = format!("unknown field `{}`{suggestion}", entry.key);
            return Err(Diagnostic::at(entry.key_span.start, message));
        }
    }
    compile_route(&tree, &SharedPolicies::default())
}

#[cfg(test)]
mod tests;
