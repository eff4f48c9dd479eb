//! `portcullis explain --route … --as …`: what a configuration would say to a request that nobody sent, and why.

use std::collections::BTreeMap;
use std::path::Path;

use miette::{Result, miette};
use portcullis_identity::{Clock, Timestamp};
use portcullis_policy::{eval, nearest, yaml};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::cli::{Explain, Supposed};
use crate::configuration::Refused;
use crate::policy::advice::Door;
use crate::policy::ask::{Ask, AskLine, RequestLine};
use crate::policy::fault::Reader;
use crate::policy::judge::{Judged, OnTrial, judge};
use crate::policy::site::{Site, SiteError};
use crate::policy::{advice, report, table_case};
use crate::terminal::{note, say};

/// Explains a supposed request.
///
/// # Errors
/// If the configuration, the subject or the request cannot be read.
pub(crate) fn run(options: &Explain, clock: &dyn Clock) -> Result<()> {
    let site = Site::load(&options.admin.file.config).map_err(refused)?;
    site.note().iter().for_each(|text| note(text));
    let ask = asked(&site, &options.supposed, clock.now())?;
    let judged = judge(&site, &ask);
    say(&if options.json { format!("{:#}", record(&site, &ask, &judged)) } else { text(&site, &ask, &judged) });
    Ok(())
}

/// A configuration that is refused keeps its places until `main` shows it.
pub(crate) fn refused(error: SiteError) -> miette::Report {
    match error {
        SiteError::Refused(error) => Refused(error).into(),
        other @ (SiteError::Unreadable { .. }
        | SiteError::RefusedTwice { .. }
        | SiteError::Policy(_)
        | SiteError::Unserved(_)) => miette!("{other}"),
    }
}

/// The request that the command line supposes.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn asked(site: &Site, supposed: &Supposed, now: Timestamp) -> Result<Ask> {
    let wrong = |message: String| miette!("{message}");
    let Supposed { route, url, method, path, client_address, header, at, .. } = supposed;
    let now = at.as_deref().map_or(Ok(now), |text| eval::instant("--at", text)).map_err(wrong)?;
    let mut request = RequestLine {
        method: Some(method.clone()),
        path: path.clone(),
        headers: Some(headers(header)?),
        client_address: client_address.clone(),
        ..RequestLine::default()
    };
    if let Some(url) = url {
        let (host, target) = parts(url)?;
        (request.host, request.path) = (Some(host), Some(target));
    }
    let line = AskLine { request: Some(request), subject: subject(supposed, now)?, ..AskLine::default() };
    let mut ask = Ask::read(line, now).map_err(wrong)?;
    if let Some(name) = route {
        let found = site.route(name).ok_or_else(|| {
            let routes = site.routes();
            let meant = nearest(name, routes.iter().map(|route| &*route.name));
            let meant = meant.map(|word| format!(", did you mean `{word}`?")).unwrap_or_default();
            miette!("{}: there is no route `{name}`{meant}", site.name())
        })?;
        ask.knock_at(&found).map_err(wrong)?;
    }
    Ok(ask)
}

/// Host (with its port) and target of a URL; the scheme may be left away.
fn parts(url: &str) -> Result<(String, String)> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if host.is_empty() {
        return Err(miette!("--url: `{url}` names no host"));
    }
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Ok((host.to_owned(), target))
}

fn headers(given: &[String]) -> Result<BTreeMap<String, Option<String>>> {
    let header = |text: &String| {
        let (name, value) = text.split_once(':').ok_or_else(|| miette!("--header: `{text}` is not `name: value`"))?;
        Ok((name.trim().to_owned(), Some(value.trim().to_owned())))
    };
    given.iter().map(header).collect()
}

/// Who asks, as `policy eval` takes it: a file, or put together from the options; `None`: nobody.
fn subject(supposed: &Supposed, now: Timestamp) -> Result<Option<Box<RawValue>>> {
    let Supposed { subject, user, email, claim, group, .. } = supposed;
    let json = match subject {
        Some(path) => from_file(path, now)?,
        None if user.is_none() && email.is_none() && claim.is_empty() && group.is_empty() => return Ok(None),
        None => from_options(user.as_deref(), email.as_deref(), claim, group)?,
    };
    RawValue::from_string(json).map(Some).map_err(|error| miette!("the subject: {error}"))
}

fn from_file(path: &Path, now: Timestamp) -> Result<String> {
    let file = path.display().to_string();
    let reader = Reader { file: &file };
    let text = std::fs::read_to_string(path).map_err(|error| miette!("{file}: {error}"))?;
    let tree = yaml::parse(&text).map_err(|diagnostic| miette!("{}", reader.found(diagnostic)))?;
    table_case::subject(reader, &tree, now).map_err(|fault| miette!("{fault}"))
}

/// What a provider would tell of such a person: address and groups are claims too.
fn from_options(user: Option<&str>, email: Option<&str>, claims: &[String], groups: &[String]) -> Result<String> {
    let mut told: Map<String, Value> = Map::new();
    for text in claims {
        let (name, value) = claim(text)?;
        match told.get_mut(&name) {
            None => drop(told.insert(name, value)),
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    if let Some(email) = email {
        told.entry("email").or_insert_with(|| email.into());
    }
    if !groups.is_empty() {
        told.entry("groups").or_insert_with(|| groups.into());
    }
    let user_id = user.or(email).unwrap_or("supposed");
    let listed: Vec<Value> = groups.iter().map(|group| json!({ "id": group, "name": group })).collect();
    Ok(json!({
        "session": { "user_id": user_id, "claims": told },
        "user": { "email": email },
        "directory": (!groups.is_empty()).then(|| json!({ "groups": listed })),
    })
    .to_string())
}

/// `name=text`, or `name:=` and JSON.
fn claim(text: &str) -> Result<(String, Value)> {
    let (name, value) = text.split_once('=').ok_or_else(|| miette!("--claim: `{text}` is not `name=value`"))?;
    match name.strip_suffix(':') {
        None => Ok((name.to_owned(), value.into())),
        Some(name) => {
            let value = serde_json::from_str(value);
            Ok((name.to_owned(), value.map_err(|error| miette!("--claim: {name}: not JSON: {error}"))?))
        }
    }
}

/// For people.
pub(crate) fn text(site: &Site, ask: &Ask, judged: &Judged) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| text.push_str(&format!("{label:<12}{value}\n"));
    line("request", &ask.line());
    line("subject", ask.who());
    if let Some(route) = &judged.route {
        line("route", &format!("{}  ({} line {})", route.name, site.name(), route.line));
    }
    line("decision", judged.outcome.word());
    line("because", &report::because(judged));
    if let Some(explanation) = &judged.explanation {
        text.push_str("rules\n");
        text.push_str(&report::rules(&explanation.rules));
    }
    if let Some(OnTrial { outcome, explanation }) = &judged.shadow {
        text.push_str(&format!("{:<12}{outcome}, {}\n", "shadow", report::deciding(explanation)));
        text.push_str(&report::rules(&explanation.rules));
    }
    let changes = to_pass(site, ask, judged);
    if !changes.is_empty() {
        text.push_str("to pass\n");
        changes.iter().for_each(|change| text.push_str(&format!("  - {change}\n")));
    }
    text.trim_end().to_owned()
}

fn to_pass(site: &Site, ask: &Ask, judged: &Judged) -> Vec<String> {
    let routes = site.routes();
    advice::changes(Door { routes: &routes, host: ask.host.as_deref().unwrap_or_default() }, judged)
}

/// For programs.
pub(crate) fn record(site: &Site, ask: &Ask, judged: &Judged) -> Value {
    let explanation = judged.explanation.as_ref();
    let rules = explanation.map(|explanation| explanation.rules.as_slice()).unwrap_or_default();
    let decided = explanation.and_then(|explanation| explanation.decision.rule).map(usize::from);
    let subject = ask.subject.as_ref().map(|subject| {
        let groups = subject.groups.as_ref().map(|groups| groups.iter().map(|group| &*group.id).collect::<Vec<_>>());
        json!({ "user_id": &*subject.user_id, "email": &*subject.email, "groups": groups })
    });
    json!({
        "file": site.name(),
        "at": ask.now.unix_millis(),
        "request": { "method": ask.method.as_str(), "host": ask.host, "path": ask.target() },
        "subject": subject,
        "route": judged.route_name(),
        "route_line": judged.route.as_ref().map(|route| route.line),
        "decision": judged.outcome.word(),
        "reasons": judged.reasons(),
        "rule": decided,
        "rule_line": decided.and_then(|index| rules.get(index)).map(|rule| rule.line),
        "rules": rules,
        "shadow": judged.shadow.as_ref().map(on_trial),
        "to_pass": to_pass(site, ask, judged),
    })
}

fn on_trial(shadow: &OnTrial) -> Value {
    let OnTrial { outcome, explanation } = shadow;
    let reasons: Vec<&str> = explanation.decision.reasons.iter().collect();
    json!({
        "decision": outcome.word(),
        "reasons": reasons,
        "rule": explanation.decision.rule,
        "rules": explanation.rules,
    })
}
