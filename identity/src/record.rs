//! External data: what somebody pushed to the broker, for policies to look at.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Claims;

/// One record of external data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its type, as `record: {type: …}` names it.
    pub kind: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// Its fields, flat as claims are.
    pub data: Claims,
}

/// Records by type and, within a type, by id. Immutable: the next set shares with this one what has not changed.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// By type, ascending; none without records.
    types: Vec<OfType>,
}

#[derive(Clone, Debug)]
struct OfType {
    kind: Arc<str>,
    /// By id, ascending.
    records: Arc<[Record]>,
}

static NONE: Records = Records { types: Vec::new() };

impl Records {
    /// The set without records.
    #[must_use]
    pub fn none() -> &'static Self {
        &NONE
    }

    /// This set with `changed` put into the place of records of the same type and id, then without `gone`, which are
    /// types and ids. Of two in `changed` with the same type and id the later one counts.
    #[must_use]
    pub fn with(&self, changed: Vec<Record>, gone: Vec<(Arc<str>, Arc<str>)>) -> Self {
        let mut edits: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Option<Record>>> = BTreeMap::new();
        for record in changed {
            edits.entry(Arc::clone(&record.kind)).or_default().insert(Arc::clone(&record.id), Some(record));
        }
        for (kind, id) in gone {
            edits.entry(kind).or_default().insert(id, None);
        }
        let untouched = self.types.iter().filter(|of| !edits.contains_key(&of.kind)).cloned();
        let mut types: Vec<OfType> = untouched.collect();
        for (kind, edits) in &edits {
            let kept = self.of_type(kind).iter().filter(|record| !edits.contains_key(&record.id));
            let mut records: Vec<Record> = kept.chain(edits.values().flatten()).cloned().collect();
            records.sort_by(|one, other| one.id.cmp(&other.id));
            if !records.is_empty() {
                types.push(OfType { kind: Arc::clone(kind), records: records.into() });
            }
        }
        types.sort_by(|one, other| one.kind.cmp(&other.kind));
        Self { types }
    }

    /// The records of a type, by id.
    #[must_use]
    #[inline]
    pub fn of_type(&self, kind: &str) -> &[Record] {
        let found = self.types.binary_search_by(|of| (*of.kind).cmp(kind)).ok();
        found.and_then(|place| self.types.get(place)).map_or(&[], |of| &of.records)
    }

    /// The records of a type that have this id: one at most, where whoever made the set saw to it.
    #[must_use]
    #[inline]
    pub fn with_id(&self, kind: &str, id: &str) -> &[Record] {
        let of_type = self.of_type(kind);
        let start = of_type.partition_point(|record| *record.id < *id);
        let (_, from) = of_type.split_at_checked(start).unwrap_or_default();
        let count = from.iter().take_while(|record| *record.id == *id).count();
        from.split_at_checked(count).unwrap_or_default().0
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.types.iter().map(|of| of.records.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.types.is_empty()
    }
}

/// Records as a question brings them: those with the same type and id all count.
impl FromIterator<Record> for Records {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut by_type: BTreeMap<Arc<str>, Vec<Record>> = BTreeMap::new();
        for record in records {
            by_type.entry(Arc::clone(&record.kind)).or_default().push(record);
        }
        let of_type = |(kind, mut records): (Arc<str>, Vec<Record>)| {
            records.sort_by(|one, other| one.id.cmp(&other.id));
            OfType { kind, records: records.into() }
        };
        Self { types: by_type.into_iter().map(of_type).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: &str, id: &str, json: &str) -> Record {
        Record { kind: kind.into(), id: id.into(), data: Claims::from_json(json).unwrap() }
    }

    fn names(records: &[Record]) -> Vec<String> {
        records.iter().map(|record| format!("{}={}", record.id, record.data.text("v").unwrap_or("-"))).collect()
    }

    #[test]
    fn records_are_found_by_type_and_by_id_and_nowhere_else() {
        let all = [("b", "2"), ("a", "1"), ("b", "1"), ("ab", "1")].map(|(kind, id)| record(kind, id, "{}"));
        let records: Records = all.into_iter().collect();
        assert_eq!((records.len(), records.is_empty(), Records::none().is_empty()), (4, false, true));
        assert_eq!(names(records.of_type("b")), ["1=-", "2=-"]);
        assert_eq!(names(records.with_id("b", "2")), ["2=-"]);
        for (kind, id) in [("b", "3"), ("b", ""), ("c", "1"), ("", "1")] {
            assert!(records.with_id(kind, id).is_empty(), "{kind} {id}");
        }
        assert!(records.of_type("c").is_empty());
    }

    #[test]
    fn the_next_set_has_the_edits_and_shares_the_types_that_have_none() {
        let first = Records::none().with(vec![record("a", "1", "{}"), record("b", "1", r#"{"v":"old"}"#)], vec![]);
        let newer = [("b", "1", r#"{"v":"new"}"#), ("b", "0", "{}"), ("b", "1", r#"{"v":"newest"}"#)];
        let second = first.with(newer.map(|(kind, id, json)| record(kind, id, json)).into(), vec![]);
        assert_eq!(names(second.of_type("b")), ["0=-", "1=newest"]);
        assert_eq!(names(first.of_type("b")), ["1=old"], "whoever reads the set before goes on reading it");
        assert!(std::ptr::eq(first.of_type("a"), second.of_type("a")));
        let third =
            second.with(vec![], vec![("b".into(), "0".into()), ("b".into(), "1".into()), ("z".into(), "1".into())]);
        assert_eq!(third.len(), 1);
        assert!(third.of_type("b").is_empty());
    }
}
