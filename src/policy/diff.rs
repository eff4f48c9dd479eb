//! `portcullis policy diff`: what another configuration would answer to given requests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use miette::{IntoDiagnostic, Result, WrapErr};
use portcullis_identity::Clock;
use portcullis_policy::eval::MAX_LINE_BYTES;
use serde::Serialize;
use serde_json::json;

use crate::cli::PolicyDiff;
use crate::policy::ask::{Ask, AskLine};
use crate::policy::judge::{Judged, Outcome, judge};
use crate::policy::site::Site;
use crate::policy::suppose;
use crate::terminal::{note, say};

/// How many requests of a group are shown.
const MAX_EXAMPLES: usize = 5;

/// What another answer means for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// It was not permitted and is now.
    NewlyAllowed,
    /// It was permitted or challenged and is denied now.
    NewlyDenied,
    /// A sign-in is asked for where it was not.
    NowChallenged,
    /// Portcullis itself answers where a route did.
    NowOwn,
    /// The answer is the same, the route another.
    OtherRoute,
}

/// What requests have in common that are shown together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Group {
    change: Change,
    /// The route in the new configuration.
    route: Option<String>,
    /// Why, in the new configuration.
    reasons: Vec<&'static str>,
}

/// The requests of a group.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Members {
    count: u64,
    examples: Vec<Example>,
}

/// One request whose answer changes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Example {
    /// Its line among the records, from 1.
    line: u64,
    id: String,
    request: String,
    subject: String,
    old: String,
    new: String,
}

/// What changes for all requests.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) requests: u64,
    pub(crate) broken: Vec<String>,
    groups: BTreeMap<Group, Members>,
}

/// Compares; the exit status: 0 if nothing changes, 1 if something does, 2 if a line was no request.
///
/// # Errors
/// If a configuration or the records cannot be read.
pub(crate) fn run(options: &PolicyDiff, clock: &dyn Clock) -> Result<u8> {
    let PolicyDiff { old, new, records, json } = options;
    let old = Site::load(old).map_err(suppose::refused)?;
    let new = Site::load(new).map_err(suppose::refused)?;
    [&old, &new].into_iter().filter_map(Site::note).for_each(|text| note(&text));
    let changes = match records.as_deref().filter(|path| path.as_os_str() != "-") {
        None => Changes::between(&old, &new, io::stdin().lock(), clock).into_diagnostic().wrap_err("standard input")?,
        Some(path) => {
            let read = File::open(path).and_then(|file| Changes::between(&old, &new, BufReader::new(file), clock));
            read.into_diagnostic().wrap_err_with(|| path.display().to_string())?
        }
    };
    changes.broken.iter().for_each(|text| note(text));
    say(&if *json { format!("{:#}", changes.json()) } else { changes.text() });
    Ok(changes.status())
}

impl Changes {
    /// Judges every request by both.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub(crate) fn between(old: &Site, new: &Site, records: impl BufRead, clock: &dyn Clock) -> io::Result<Self> {
        let mut changes = Self::default();
        let mut lines = Lines { records, number: 0 };
        while let Some((number, line)) = lines.next()? {
            match line.and_then(|text| ask(&text, clock)) {
                Ok(ask) => changes.compare(number, &ask, &judge(old, &ask), &judge(new, &ask)),
                Err(message) => changes.broken.push(format!("line {number}: {message}")),
            }
        }
        Ok(changes)
    }

    fn compare(&mut self, line: u64, ask: &Ask, old: &Judged, new: &Judged) {
        self.requests = self.requests.saturating_add(1);
        let Some(change) = Change::of(old, new) else { return };
        let group = Group { change, route: new.route_name().map(str::to_owned), reasons: new.reasons() };
        let members = self.groups.entry(group).or_default();
        members.count = members.count.saturating_add(1);
        if members.examples.len() < MAX_EXAMPLES {
            members.examples.push(Example {
                line,
                id: ask.id.clone(),
                request: ask.line(),
                subject: ask.who().to_owned(),
                old: answer(old),
                new: answer(new),
            });
        }
    }

    /// How many requests are answered otherwise.
    pub(crate) fn count(&self) -> u64 {
        self.groups.values().fold(0, |sum, members| sum.saturating_add(members.count))
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match (self.broken.is_empty(), self.groups.is_empty()) {
            (false, _) => 2,
            (true, false) => 1,
            (true, true) => 0,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (Group { change, route, reasons }, Members { count, examples }) in &self.groups {
            let route = route.as_deref().unwrap_or("(no route)");
            text.push_str(&format!("{}: {route}: {}  ({count})\n", change.word(), reasons.join(", ")));
            for Example { line, id, request, subject, old, new } in examples {
                let id = if id.is_empty() { format!("line {line}") } else { id.clone() };
                text.push_str(&format!("  {id}: {request} as {subject}: {old} -> {new}\n"));
            }
            let more = count.saturating_sub(u64::try_from(examples.len()).unwrap_or(u64::MAX));
            if more > 0 {
                text.push_str(&format!("  and {more} more\n"));
            }
        }
        text.push_str(&format!("requests: {}, answered otherwise: {}", self.requests, self.count()));
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let groups = self.groups.iter().map(|(Group { change, route, reasons }, Members { count, examples })| {
            json!({ "change": change, "route": route, "reasons": reasons, "count": count, "examples": examples })
        });
        json!({
            "requests": self.requests,
            "changed": self.count(),
            "groups": groups.collect::<Vec<_>>(),
            "errors": self.broken,
        })
    }
}

impl Change {
    /// What changes between two answers; `None`: nothing.
    pub(crate) fn of(old: &Judged, new: &Judged) -> Option<Self> {
        if old.outcome != new.outcome {
            return Some(match new.outcome {
                Outcome::Permit => Self::NewlyAllowed,
                Outcome::Deny => Self::NewlyDenied,
                Outcome::Challenge => Self::NowChallenged,
                Outcome::Own => Self::NowOwn,
            });
        }
        (old.route_name() != new.route_name()).then_some(Self::OtherRoute)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::NewlyAllowed => "newly allowed",
            Self::NewlyDenied => "newly denied",
            Self::NowChallenged => "now challenged",
            Self::NowOwn => "now answered by Portcullis",
            Self::OtherRoute => "other route",
        }
    }
}

fn answer(judged: &Judged) -> String {
    format!("{} ({})", judged.outcome, judged.route_name().unwrap_or("no route"))
}

fn ask(text: &str, clock: &dyn Clock) -> Result<Ask, String> {
    let line: AskLine = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let ask = Ask::read(line, clock.now())?;
    if ask.host.is_none() { Err("request.host is needed to find the route".to_owned()) } else { Ok(ask) }
}

/// Lines that are not blank, each bounded.
struct Lines<R> {
    records: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next line with its number, or why it cannot be one; `None` at the end.
    fn next(&mut self) -> io::Result<Option<(u64, Result<String, String>)>> {
        let most = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
        loop {
            let mut bytes = Vec::new();
            // One more for the line's end.
            let read = self.records.by_ref().take(most.saturating_add(1)).read_until(b'\n', &mut bytes)?;
            if read == 0 {
                return Ok(None);
            }
            self.number = self.number.saturating_add(1);
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            } else if bytes.len() > MAX_LINE_BYTES {
                self.records.skip_until(b'\n')?;
                return Ok(Some((self.number, Err(format!("is longer than {MAX_LINE_BYTES} bytes")))));
            }
            if !bytes.trim_ascii().is_empty() {
                let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned());
                return Ok(Some((self.number, text)));
            }
        }
    }
}
