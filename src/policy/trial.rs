//! `portcullis policy test`: runs table tests and says what passed, what failed and what no case tried.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use miette::{IntoDiagnostic, Result, WrapErr};
use portcullis_identity::Clock;

use crate::cli::PolicyTest;
use crate::policy::coverage::{Coverage, Share};
use crate::policy::judge::{Judged, judge};
use crate::policy::site::{Site, SiteError};
use crate::policy::table::{Against, Table};
use crate::policy::table_case::Case;
use crate::policy::{junit, report};
use crate::terminal::{note, say};

/// What one test file came to.
#[derive(Debug)]
pub(crate) struct Report {
    /// The file, as it was named.
    pub(crate) file: String,
    /// Its cases, in the order of the file.
    pub(crate) results: Vec<Tested>,
    /// What they tried.
    pub(crate) coverage: Coverage,
    /// What was tested.
    pub(crate) against: String,
    /// What to know about it.
    pub(crate) note: Option<String>,
}

/// What one case came to.
#[derive(Debug)]
pub(crate) struct Tested {
    pub(crate) name: String,
    /// Where it stands, from 1.
    pub(crate) line: usize,
    /// Expected and got, on two lines; `None` if it passed.
    pub(crate) failure: Option<String>,
}

/// Why a file could not be run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(String);

/// Runs the test files; the exit status: 0 if all cases passed, 1 if some failed, 2 if a file is broken.
///
/// # Errors
/// If there is nothing to run, or the XML cannot be written.
pub(crate) fn run(options: &PolicyTest, clock: &dyn Clock) -> Result<u8> {
    let files = if options.files.is_empty() { beside(options.config.as_deref())? } else { options.files.clone() };
    let mut reports = Vec::with_capacity(files.len());
    let mut broken = false;
    let mut told = BTreeSet::new();
    for file in &files {
        match trial(file, options.config.as_deref(), clock) {
            Ok(report) => {
                report.note.iter().filter(|text| told.insert((*text).clone())).for_each(|text| note(text));
                say(results(&report).trim_end());
                reports.push(report);
            }
            Err(Broken(message)) => {
                note(&message);
                broken = true;
            }
        }
    }
    if let Some(path) = &options.junit {
        std::fs::write(path, junit::document(&reports))
            .into_diagnostic()
            .wrap_err_with(|| path.display().to_string())?;
    }
    say(closing(&reports).trim_end());
    Ok(if broken { 2 } else { u8::from(failed(&reports) > 0) })
}

/// The test files beside a configuration, by name: `*.test.yaml`.
fn beside(config: Option<&Path>) -> Result<Vec<PathBuf>> {
    let folder = config.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let entries = std::fs::read_dir(folder).into_diagnostic().wrap_err_with(|| folder.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.into_diagnostic()?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".test.yaml") || name.ends_with(".test.yml") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(miette::miette!("{}: there is no *.test.yaml", folder.display()));
    }
    files.sort();
    Ok(files)
}

/// Runs one test file.
///
/// # Errors
/// If it, or what it tests, is refused.
pub(crate) fn trial(file: &Path, config: Option<&Path>, clock: &dyn Clock) -> Result<Report, Broken> {
    let table = Table::read(file, config, clock.now()).map_err(|fault| Broken(fault.to_string()))?;
    let site = match &table.against {
        Against::Config(path) => Site::load(path),
        Against::Inline(access) => Site::inline(&table.file, access),
    };
    let site = site.map_err(|error| match error {
        SiteError::Policy(diagnostic) => Broken(format!("{}:{diagnostic}", table.file)),
        other @ (SiteError::Unreadable { .. }
        | SiteError::Refused(_)
        | SiteError::RefusedTwice { .. }
        | SiteError::Unserved(_)) => Broken(other.to_string()),
    })?;
    let mut coverage = Coverage::of(&site);
    let mut results = Vec::with_capacity(table.cases.len());
    for case in &table.cases {
        let broken = |message: String| Broken(format!("{}:{}:1: {message}", table.file, case.line));
        let judged = asked(&site, case).map_err(broken)?;
        coverage.add(&judged);
        results.push(Tested { name: case.name.clone(), line: case.line, failure: failure(case, &judged) });
    }
    Ok(Report { file: table.file, results, coverage, against: site.name().to_owned(), note: site.note() })
}

/// Judges what a case asks, at the door of the route it names unless it says where.
fn asked(site: &Site, case: &Case) -> Result<Judged, String> {
    let mut ask = case.ask.clone();
    if let Some(name) = &case.route {
        let route = site.route(name).ok_or_else(|| {
            let routes = site.routes();
            let meant = portcullis_policy::nearest(name, routes.iter().map(|route| &*route.name));
            let meant = meant.map(|word| format!(", did you mean `{word}`?")).unwrap_or_default();
            format!("there is no route `{name}`{meant}")
        })?;
        ask.knock_at(&route)?;
    } else if ask.host.is_none() {
        ask.set_host("policy.test".to_owned())?;
    }
    Ok(judge(site, &ask))
}

fn failure(case: &Case, judged: &Judged) -> Option<String> {
    let mut wrong = Vec::new();
    if judged.outcome != case.expect {
        wrong.push(case.expect.to_string());
    }
    if let Some(route) = case.route.as_deref().filter(|route| judged.route_name() != Some(route)) {
        wrong.push(format!("route {route}"));
    }
    let decision = judged.explanation.as_ref().map(|explanation| &explanation.decision);
    let decided = decision.and_then(|decision| decision.rule).map(usize::from);
    if let Some(rule) = case.rule.filter(|rule| decided != Some(*rule)) {
        wrong.push(format!("rule {rule}"));
    }
    let rules = judged.explanation.as_ref().map(|explanation| explanation.rules.as_slice()).unwrap_or_default();
    let line = decided.and_then(|index| rules.get(index)).map(|rule| rule.line);
    if let Some(wanted) = case.rule_line.filter(|wanted| line != Some(*wanted)) {
        wrong.push(format!("the rule on line {wanted}"));
    }
    let reasons: Vec<&str> = decision.into_iter().flat_map(|decision| decision.reasons.iter()).collect();
    if let Some(wanted) = case.reasons.as_ref().filter(|wanted| **wanted != reasons) {
        wrong.push(format!("reasons {}", wanted.join(", ")));
    }
    if wrong.is_empty() {
        return None;
    }
    Some(format!("expected {}\ngot      {}: {}", wrong.join("; "), judged.outcome, report::because(judged)))
}

/// One line for each case, two more for one that failed.
fn results(report: &Report) -> String {
    let mut text = format!("{}\n", report.file);
    for Tested { name, line, failure } in &report.results {
        match failure {
            None => text.push_str(&format!("  ok      {name}\n")),
            Some(failure) => {
                text.push_str(&format!("  FAILED  {name} (line {line})\n"));
                failure.lines().for_each(|line| text.push_str(&format!("          {line}\n")));
            }
        }
    }
    text
}

/// Coverage of each configuration, and how many passed.
fn closing(reports: &[Report]) -> String {
    let mut text = String::new();
    for (against, coverage) in coverages(reports) {
        let (Share { held, all }, criteria) = coverage.shares();
        text.push_str(&format!(
            "\ncoverage of {against}: {held} of {all} rules and {} of {} criteria held in some case\n",
            criteria.held, criteria.all
        ));
        coverage.untried().iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    let failed = failed(reports);
    let all: usize = reports.iter().map(|report| report.results.len()).sum();
    text.push_str(&format!("\n{} passed, {failed} failed\n", all.saturating_sub(failed)));
    text
}

/// What all files together tried of each configuration.
fn coverages(reports: &[Report]) -> Vec<(&str, Coverage)> {
    let mut coverages: Vec<(&str, Coverage)> = Vec::new();
    for Report { file: _, results: _, coverage, against, note: _ } in reports {
        match coverages.iter_mut().find(|(known, _)| known == against) {
            Some((_, known)) => known.join(coverage),
            None => coverages.push((against, coverage.clone())),
        }
    }
    coverages
}

fn failed(reports: &[Report]) -> usize {
    let results = reports.iter().flat_map(|report| &report.results);
    results.filter(|tested| tested.failure.is_some()).count()
}
