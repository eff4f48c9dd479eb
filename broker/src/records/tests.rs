use super::*;

fn record(kind: &str, id: &str, data: &str) -> NewRecord {
    NewRecord::new(RecordKey::new(kind, id).unwrap(), data).unwrap()
}

fn row(number: u8) -> Row {
    [number; 16]
}

fn names(records: &[NewRecord]) -> Vec<String> {
    records.iter().map(|record| format!("{}/{}", record.key().kind, record.key().id)).collect()
}

#[test]
fn the_sums_follow_every_change() {
    let mut index = RecordIndex::default();
    let (first, second) = (record("hr", "1", "{}"), record("hr", "2", r#"{"a":1}"#));
    index.apply(1, vec![(row(1), first.clone()), (row(2), second.clone())], vec![]);
    assert_eq!((index.len(), index.count_of("hr"), index.bytes()), (2, 2, first.bytes() + second.bytes()));
    let longer = record("hr", "1", r#"{"a":"longer"}"#);
    index.apply(2, vec![(row(1), longer.clone())], vec![second.key().clone()]);
    assert_eq!((index.len(), index.count_of("hr"), index.bytes()), (1, 1, longer.bytes()));
    index.apply(3, vec![], vec![longer.key().clone(), second.key().clone()]);
    assert_eq!((index.len(), index.count_of("hr"), index.bytes()), (0, 0, 0));
}

#[test]
fn a_follower_is_told_what_is_by_now_and_what_is_gone_once() {
    let mut index = RecordIndex::default();
    index.apply(3, vec![(row(1), record("a", "1", "{}")), (row(2), record("a", "2", "{}"))], vec![]);
    index.apply(5, vec![(row(1), record("a", "1", r#"{"v":2}"#))], vec![]);
    let gone = RecordKey::new("a", "2").unwrap();
    index.apply(6, vec![(row(1), record("a", "1", r#"{"v":3}"#))], vec![gone.clone()]);
    let newest = record("a", "1", r#"{"v":3}"#);
    let told = Since::Some { changed: vec![newest.clone()], gone: vec![gone] };
    assert_eq!(index.since(0), told);
    assert_eq!(index.since(5), told);
    assert_eq!((index.since(6), index.since(9)), (Since::Nothing, Since::Nothing));
    assert_eq!(index.whole(), Since::Whole(vec![newest]));
}

#[test]
fn what_is_forgotten_is_told_as_a_whole() {
    let mut index = RecordIndex::default();
    for version in 1..=LOG_ENTRIES as u64 + 1 {
        index.apply(version, vec![(row(1), record("a", "1", "{}"))], vec![]);
    }
    assert!(matches!(index.since(0), Since::Whole(_)));
    assert!(matches!(index.since(1), Since::Some { .. }));
}

#[test]
fn pages_of_a_listing_follow_each_other_and_keep_to_what_was_asked() {
    let mut index = RecordIndex::default();
    let all = [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")];
    let puts = all.iter().zip(1..).map(|((kind, id), number)| (row(number), record(kind, id, "{}"))).collect();
    index.apply(1, puts, vec![]);
    let listed = |kind: Option<&str>, id: Option<&str>, after: Option<(&str, &str)>| {
        let after = after.map(|(kind, id)| RecordKey::new(kind, id).unwrap());
        let listing = Listing { kind: kind.map(str::to_owned), id: id.map(str::to_owned), after };
        // One byte: every page has one record.
        let (page, more) = index.page(&listing, 1);
        (names(&page), more)
    };
    assert_eq!(listed(None, None, None), (vec!["a/1".to_owned()], true));
    assert_eq!(listed(None, None, Some(("a", "3"))), (vec!["b/1".to_owned()], false));
    assert_eq!(listed(Some("a"), None, Some(("a", "2"))), (vec!["a/3".to_owned()], false));
    assert_eq!(listed(Some("b"), None, None), (vec!["b/1".to_owned()], false));
    assert_eq!(listed(Some("b"), None, Some(("a", "2"))), (vec!["b/1".to_owned()], false));
    assert_eq!(listed(Some("a"), Some("2"), None), (vec!["a/2".to_owned()], false));
    assert_eq!(listed(Some("c"), None, None), (vec![], false));
}
