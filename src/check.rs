//! `portcullis check`: reads a configuration as `run` would, and says what is wrong or doubtful.

mod sarif;

use std::path::Path;

use miette::Result;
use portcullis_config::{Loaded, Problem, ProcessEnvironment, Warning};
use portcullis_gate::Snapshot;
use portcullis_identity::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::certificates;
use crate::cli::{Check, Findings};
use crate::configuration::Refused;
use crate::terminal::{note, say};

/// Checks the file; whether it can be served.
///
/// # Errors
/// The file, or something it references, is refused and the findings are for people. In another format they are on
/// standard output already.
pub(crate) fn run(options: &Check) -> Result<bool> {
    let path = &options.file.config;
    let loaded = match portcullis_config::load(path, &ProcessEnvironment) {
        Ok(loaded) => loaded,
        Err(error) if options.format == Findings::Text => return Err(Refused(error).into()),
        Err(error) => {
            say(&format!("{:#}", findings(options.format, error.problems(), &[])));
            return Ok(false);
        }
    };
    let unserved = Snapshot::build(&loaded.config, None).err().map(|error| unserved(path, error.to_string()));
    let overdue = certificates::overdue(&loaded.config, SystemClock.now());
    let warnings: Vec<Warning> = loaded.config.warnings.iter().cloned().chain(overdue).collect();
    match options.format {
        Findings::Text => {
            if let Some(problem) = unserved {
                return Err(miette::miette!("{problem}"));
            }
            told(path, &loaded, &warnings);
            Ok(true)
        }
        Findings::Json | Findings::Sarif => {
            let problems: Vec<Problem> = unserved.into_iter().collect();
            let mut found = findings(options.format, &problems, &warnings);
            if let (Findings::Json, Some(fields)) = (options.format, found.as_object_mut()) {
                fields.insert("file".into(), json!(path.display().to_string()));
                fields.insert("generation".into(), json!(loaded.config.generation.to_string()));
            }
            say(&format!("{found:#}"));
            Ok(problems.is_empty())
        }
    }
}

fn told(path: &Path, loaded: &Loaded, warnings: &[Warning]) {
    let config = &loaded.config;
    for warning in warnings {
        note(&warning.to_string());
    }
    say(&format!(
        "{}: good; generation {}, {} routes, {} files read, {} warnings",
        path.display(),
        config.generation,
        config.routes.len(),
        loaded.files.len(),
        warnings.len()
    ));
}

/// What reads well and cannot be served all the same.
fn unserved(path: &Path, message: String) -> Problem {
    Problem {
        file: path.display().to_string(),
        line: 0,
        column: 0,
        field: String::new(),
        message,
        help: None,
        snippet: None,
    }
}

fn findings(format: Findings, problems: &[Problem], warnings: &[Warning]) -> Value {
    match format {
        Findings::Sarif => sarif::log(problems, warnings),
        Findings::Text | Findings::Json => json!({
            "errors": problems.iter().map(problem).collect::<Vec<_>>(),
            "warnings": warnings.iter().map(warning).collect::<Vec<_>>(),
        }),
    }
}

fn problem(problem: &Problem) -> Value {
    let Problem { file, line, column, field, message, help, snippet: _ } = problem;
    json!({ "file": file, "line": line, "column": column, "field": field, "message": message, "help": help })
}

fn warning(warning: &Warning) -> Value {
    let Warning { file, line, column, field, message, help } = warning;
    json!({ "file": file, "line": line, "column": column, "field": field, "message": message, "help": help })
}
