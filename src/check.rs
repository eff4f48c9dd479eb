//! `portcullis check`: reads a configuration as `run` would, and says what is wrong or doubtful.

use miette::Result;
use portcullis_config::{LoadError, Problem, ProcessEnvironment, Warning};
use portcullis_gate::Snapshot;
use serde_json::{Value, json};

use crate::cli::{Check, Findings};
use crate::configuration::Refused;
use crate::terminal::{note, say};

/// Checks the file.
///
/// # Errors
/// The file, or something it references, is refused. With `--format json` the findings are on standard output already.
pub(crate) fn run(options: &Check) -> Result<bool> {
    let path = &options.file.config;
    let loaded = match portcullis_config::load(path, &ProcessEnvironment) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(error, options.format),
    };
    if let Err(error) = Snapshot::build(&loaded.config, None) {
        return Err(miette::miette!("{}: {error}", path.display()));
    }
    let config = &loaded.config;
    match options.format {
        Findings::Text => {
            for warning in &config.warnings {
                note(&warning.to_string());
            }
            say(&format!(
                "{}: good; generation {}, {} routes, {} files read, {} warnings",
                path.display(),
                config.generation,
                config.routes.len(),
                loaded.files.len(),
                config.warnings.len()
            ));
        }
        Findings::Json => say(&format!(
            "{:#}",
            json!({
                "file": path.display().to_string(),
                "generation": config.generation.to_string(),
                "errors": [],
                "warnings": config.warnings.iter().map(warning).collect::<Vec<_>>(),
            })
        )),
    }
    Ok(true)
}

fn refuse(error: LoadError, format: Findings) -> Result<bool> {
    if format == Findings::Text {
        return Err(Refused(error).into());
    }
    let problems: Vec<Value> = error.problems().iter().map(problem).collect();
    say(&format!("{:#}", json!({ "errors": problems, "warnings": [] })));
    Ok(false)
}

fn problem(problem: &Problem) -> Value {
    let Problem { file, line, column, field, message, help, snippet: _ } = problem;
    json!({ "file": file, "line": line, "column": column, "field": field, "message": message, "help": help })
}

fn warning(warning: &Warning) -> Value {
    let Warning { file, line, column, message, help } = warning;
    json!({ "file": file, "line": line, "column": column, "message": message, "help": help })
}
