//! A configuration as it was written and as it is to be written: values with their places and their comments.

use std::sync::Arc;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file, as the command line names it.
    pub(crate) file: Arc<str>,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
}

/// A value, with what its author wrote beside it.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) value: Value,
    pub(crate) remarks: Remarks,
    /// Where it stands; `None` for what the conversion adds.
    pub(crate) place: Option<Place>,
    /// Written in braces or brackets.
    pub(crate) flow: bool,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    /// In the spelling of the policy language's reader.
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<Member>),
}

/// A key with its value; the remarks of both are the value's.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) place: Option<Place>,
    pub(crate) value: Tree,
}

/// Comments, with their `#`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remarks {
    /// Lines above.
    pub(crate) above: Vec<String>,
    /// At the end of the line.
    pub(crate) behind: Option<String>,
}

impl From<Value> for Tree {
    fn from(value: Value) -> Self {
        Self { value, remarks: Remarks::default(), place: None, flow: false }
    }
}

impl Tree {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Value::Text(text.into()).into()
    }

    pub(crate) fn boolean(value: bool) -> Self {
        Value::Boolean(value).into()
    }

    pub(crate) fn number(number: u16) -> Self {
        Value::Number(number.to_string()).into()
    }

    pub(crate) fn list(items: Vec<Self>) -> Self {
        Value::List(items).into()
    }

    pub(crate) fn texts<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::list(items.into_iter().map(Self::text).collect()).flowing()
    }

    pub(crate) fn map<const N: usize>(members: [(&str, Self); N]) -> Self {
        let members = members.into_iter().map(|(key, value)| Member { key: key.to_owned(), place: None, value });
        Value::Map(members.collect()).into()
    }

    /// `{file: PATH}`
    pub(crate) fn file(path: impl Into<String>) -> Self {
        Self::map([("file", Self::text(path))]).flowing()
    }

    pub(crate) fn flowing(mut self) -> Self {
        self.flow = true;
        self
    }

    /// With the comments of another value, beside its own.
    pub(crate) fn with_remarks_of(mut self, other: &Self) -> Self {
        let Remarks { above, behind } = other.remarks.clone();
        self.remarks.above.splice(0..0, above);
        self.remarks.behind = self.remarks.behind.or(behind);
        self
    }

    /// With a comment of ours above.
    pub(crate) fn remarked(mut self, remark: &str) -> Self {
        self.remarks.above.push(format!("# {remark}"));
        self
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    pub(crate) fn as_boolean(&self) -> Option<bool> {
        match &self.value {
            Value::Boolean(value) => Some(*value),
            Value::Text(text) if text == "true" => Some(true),
            Value::Text(text) if text == "false" => Some(false),
            Value::Null | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    /// The values of a list, or the one value.
    pub(crate) fn items(&self) -> &[Self] {
        self.as_list().unwrap_or_else(|| std::slice::from_ref(self))
    }

    pub(crate) fn members(&self) -> &[Member] {
        if let Value::Map(members) = &self.value { members } else { &[] }
    }

    /// The value of a key, whatever the case it is written in: the reference's reader folds it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.members().iter().find(|member| member.key.eq_ignore_ascii_case(key)).map(|member| &member.value)
    }

    /// The texts of a list, of a comma-separated text, or the one number.
    pub(crate) fn strings(&self) -> Vec<String> {
        match &self.value {
            Value::List(items) => items.iter().flat_map(Self::scalar).collect(),
            Value::Text(text) => {
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
            }
            Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Map(_) => self.scalar().into_iter().collect(),
        }
    }

    /// The texts of a list or the one text, commas and all.
    pub(crate) fn strings_whole(&self) -> Vec<String> {
        self.items().iter().filter_map(Self::scalar).collect()
    }

    /// The text of a scalar.
    pub(crate) fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            Value::Boolean(value) => Some(value.to_string()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether it says nothing: null, `false`, `0`, or empty. A key that says nothing is not lost.
    pub(crate) fn is_off(&self) -> bool {
        match &self.value {
            Value::Null | Value::Boolean(false) => true,
            Value::Boolean(true) => false,
            Value::Number(number) => number == "0",
            Value::Text(text) => matches!(text.as_str(), "" | "0" | "0s" | "false"),
            Value::List(items) => items.is_empty(),
            Value::Map(members) => members.is_empty(),
        }
    }

    /// Puts a value at a dotted path of mappings. What stood there goes.
    pub(crate) fn set(&mut self, path: &str, value: Self) {
        let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        let Value::Map(members) = &mut self.value else { return };
        if !members.iter().any(|member| member.key == head) {
            members.push(Member { key: head.to_owned(), place: None, value: Value::Null.into() });
        }
        let Some(member) = members.iter_mut().find(|member| member.key == head) else { return };
        match rest {
            Some(rest) => member.value.set(rest, value),
            None => member.value = value,
        }
    }

    /// Puts a value at a key of this mapping, dots and all.
    pub(crate) fn set_key(&mut self, key: &str, value: Self) {
        self.remove(key);
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        if let Value::Map(members) = &mut self.value {
            members.push(Member { key: key.to_owned(), place: None, value });
        }
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Self> {
        let Value::Map(members) = &mut self.value else { return None };
        let at = members.iter().position(|member| member.key == key)?;
        Some(members.remove(at).value)
    }

    /// The value at a dotted path.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |tree, key| tree.get(key))
    }
}
