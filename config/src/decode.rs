//! From YAML values to the schema's types, with every mistake found and not only the first: what is wrong is
//! reported, taken out, and the rest is read again.

mod reference;

use portcullis_policy::{ACCESS_KEYS, SHADOW_KEY};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use serde_yaml::Value;

use crate::field::{Field, Step};
use crate::report::{Fault, Part, Report};

/// The most mistakes reported of one value.
const MAX_MISTAKES: usize = 32;

/// The most known keys that help lists.
const MAX_LISTED: usize = 16;

/// Keys whose values may be secrets, or may hold one where they should not.
const CONFIDENTIAL: [&str; 7] =
    ["client_secret", "secret", "key", "signing_keys", "tls_client_key", "set_request_headers", "request_params"];

/// What to say of a key without a value.
pub(crate) const NO_VALUE: &str = "has no value";

/// What became of a value.
pub(crate) enum Decoded<T> {
    /// As the file has it.
    Whole(T),
    /// Without what was wrong: good only for finding further mistakes.
    Partial(T),
    /// Too much was wrong.
    Nothing,
}

/// Reads a value into a type of the schema.
pub(crate) fn decode<T: DeserializeOwned>(report: &mut Report<'_>, at: &Field<'_>, mut value: Value) -> Decoded<T> {
    let mut empty = Vec::new();
    find_empty(&value, &mut Vec::new(), &mut empty);
    // What is right, as nearly everything is, needs no track of where it was.
    if empty.is_empty()
        && let Ok(decoded) = T::deserialize(&value)
    {
        return Decoded::Whole(decoded);
    }
    let mut removed: Vec<Vec<OwnedStep>> = Vec::new();
    for path in empty {
        Mistake::NoValue.report(report, at, &path);
        if !remove(&mut value, &path) {
            return Decoded::Nothing;
        }
        removed.push(path);
    }
    for _mistake in 0..MAX_MISTAKES {
        let error = match serde_path_to_error::deserialize(&value) {
            Ok(decoded) if removed.is_empty() => return Decoded::Whole(decoded),
            Ok(decoded) => return Decoded::Partial(decoded),
            Err(error) => error,
        };
        let path = owned(error.path());
        let mistake = Mistake::of(&error.into_inner().to_string());
        if !mistake.follows_from(&path, &removed) {
            mistake.report(report, at, &path);
        }
        // The nearest entry of a mapping goes: taking an element out of a list would move its neighbours.
        let Some(last_key) = path.iter().rposition(|step| matches!(step, OwnedStep::Key(_))) else {
            return Decoded::Nothing;
        };
        let mut path = path;
        path.truncate(last_key.saturating_add(1));
        if !remove(&mut value, &path) {
            return Decoded::Nothing;
        }
        removed.push(path);
    }
    Decoded::Nothing
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum OwnedStep {
    Key(String),
    Index(usize),
}

fn owned(path: &Path) -> Vec<OwnedStep> {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(OwnedStep::Index(*index)),
        Segment::Map { key } => Some(OwnedStep::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().map_while(step).collect()
}

fn remove(value: &mut Value, path: &[OwnedStep]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut here = value;
    for step in parents {
        let next = match step {
            OwnedStep::Key(name) => here.get_mut(name.as_str()),
            OwnedStep::Index(index) => here.get_mut(*index),
        };
        let Some(next) = next else { return false };
        here = next;
    }
    match (here, last) {
        (Value::Mapping(map), OwnedStep::Key(name)) => map.shift_remove(name.as_str()).is_some(),
        _ => false,
    }
}

/// What serde says, in our words.
#[derive(Debug, PartialEq, Eq)]
enum Mistake {
    UnknownKey { name: String, known: Vec<String> },
    UnknownWord { word: String, known: Vec<String> },
    NoValue,
    Missing { name: String },
    Unexpected { found: String, expected: String },
    Other(String),
}

impl Mistake {
    fn of(text: &str) -> Self {
        let quoted: Vec<String> = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let mut quoted = quoted.into_iter();
        let first = |quoted: &mut dyn Iterator<Item = String>| quoted.next().unwrap_or_default();
        if text.starts_with("unknown field `") {
            return Self::UnknownKey { name: first(&mut quoted), known: quoted.collect() };
        }
        if text.starts_with("unknown variant `") {
            return Self::UnknownWord { word: first(&mut quoted), known: quoted.collect() };
        }
        if text.starts_with("missing field `") {
            return Self::Missing { name: first(&mut quoted) };
        }
        let unexpected = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "));
        match unexpected.and_then(|rest| rest.rsplit_once(", expected ")) {
            Some((found, expected)) => Self::Unexpected { found: found.to_owned(), expected: expected.to_owned() },
            None => Self::Other(text.to_owned()),
        }
    }

    /// Whether it is only there because something else was taken out.
    fn follows_from(&self, path: &[OwnedStep], removed: &[Vec<OwnedStep>]) -> bool {
        let Self::Missing { name } = self else { return false };
        let missing: Vec<OwnedStep> = path.iter().cloned().chain([OwnedStep::Key(name.clone())]).collect();
        removed.contains(&missing)
    }

    fn report(self, report: &mut Report<'_>, at: &Field<'_>, path: &[OwnedStep]) {
        let mut steps = at.steps();
        steps.extend(path.iter().map(|step| match step {
            OwnedStep::Key(name) => Step::Key(name),
            OwnedStep::Index(index) => Step::Index(*index),
        }));
        let confidential = steps.iter().any(|step| matches!(step, Step::Key(name) if CONFIDENTIAL.contains(name)));
        // A value that is not there stands nowhere.
        let at_key = matches!(self, Self::UnknownKey { .. } | Self::NoValue);
        let part = if at_key { Part::Key } else { Part::Value };
        let fault = self.fault(confidential);
        report.fault_at(&steps, part, if confidential { fault.confidential() } else { fault });
    }

    fn fault(self, confidential: bool) -> Fault {
        match self {
            Self::UnknownKey { name, known } => {
                if let Some(advice) = reference::advice(&name) {
                    return Fault::new(format!("`{name}` is a key of the reference, not of Portcullis")).help(advice);
                }
                let fault = Fault::new(format!("unknown key `{name}`"));
                match portcullis_policy::nearest(&name, known.iter().map(String::as_str)) {
                    Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                    None if known.is_empty() || known.len() > MAX_LISTED => fault,
                    None => fault.help(format!("known here: {}", known.join(", "))),
                }
            }
            Self::UnknownWord { word, known } => {
                let fault = Fault::new(format!("`{word}` is none of {}", known.join(", ")));
                match portcullis_policy::nearest(&word, known.iter().map(String::as_str)) {
                    Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                    None => fault,
                }
            }
            Self::NoValue => Fault::new(NO_VALUE),
            Self::Missing { name } => Fault::new(format!("`{name}` is missing")),
            Self::Unexpected { expected, .. } if confidential => Fault::new(format!("expected {expected}")),
            Self::Unexpected { found, expected } => Fault::new(format!("expected {expected}, found {found}")),
            // Our own words, which never repeat a value.
            Self::Other(text) => Fault::new(text),
        }
    }
}

/// Finds what YAML can say and the configuration cannot: keys without a value. A file that was cut off there looks
/// like that, and serde would take it for an absent key. What the policy language reads by itself is left to it.
fn find_empty<'v>(value: &'v Value, path: &mut Vec<Step<'v>>, empty: &mut Vec<Vec<OwnedStep>>) {
    match value {
        Value::Null => {
            let owned = path.iter().map(|step| match step {
                Step::Key(name) => OwnedStep::Key((*name).to_owned()),
                Step::Index(index) => OwnedStep::Index(*index),
            });
            empty.push(owned.collect());
        }
        // The marked tree has no tags.
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => {}
        Value::Sequence(list) => {
            for (index, element) in list.iter().enumerate() {
                path.push(Step::Index(index));
                find_empty(element, path, empty);
                path.pop();
            }
        }
        Value::Mapping(map) => {
            // Nor keys that are no text.
            for (key, element) in map.iter().filter_map(|(key, element)| Some((key.as_str()?, element))) {
                let others = key == "policies" || key == SHADOW_KEY || ACCESS_KEYS.contains(&key);
                if path.is_empty() && others && !element.is_null() {
                    continue;
                }
                path.push(Step::Key(key));
                find_empty(element, path, empty);
                path.pop();
            }
        }
    }
}
