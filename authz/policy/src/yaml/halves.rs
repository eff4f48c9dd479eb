//! A large text read in two halves at once, cut between two items of its longest list.
//!
//! Each half is a text by itself: the first ends before an item, the second begins with the list's key again. Where
//! they read well, their trees put together are the tree of the whole, places included. Where anything is out of the
//! ordinary (a half that does not read, an alias across the cut, a key that occurs in both, a bound that only both
//! exceed) there is no answer, and the whole text is read by itself: every error comes from there.

use std::num::NonZero;
use std::thread;

use super::build::{self, Read};
use super::{Entry, Kind, MAX_ALIASED_NODES, MAX_NODES, Node, Span};

/// Shorter texts are read faster than a thread begins.
const LARGE: usize = 256 * 1024;

/// The tree of a large text; `None`: read the whole.
pub(super) fn document(text: &str) -> Option<Node> {
    // In this order: to ask for the number of cores reads a file or two, and most texts are short.
    let split = text.len() >= LARGE && thread::available_parallelism().map_or(1, NonZero::get) > 1;
    if split { read(text, text.len() / 2) } else { None }
}

/// The tree of a text that is cut behind `middle`.
fn read(text: &str, middle: usize) -> Option<Node> {
    let Cut { key, key_end, item, indent } = Cut::find(text, middle)?;
    let first = text.get(..item.checked_add(indent)?)?;
    let second = format!("{}\n{}", text.get(key..key_end)?, text.get(item..)?);
    // The key's own line stands for all lines before the cut.
    let lines_before = first.bytes().filter(|byte| *byte == b'\n').count().checked_sub(1)?;
    let (first, second) = thread::scope(|scope| {
        let other = thread::Builder::new().name("yaml".to_owned());
        let second = other.spawn_scoped(scope, || build::document(&second, lines_before)).ok()?;
        let first = build::document(first, 0);
        Some((first.ok()?, second.join().ok()?.ok()?))
    })?;
    let key_line = text.get(..key)?.bytes().filter(|byte| *byte == b'\n').count().checked_add(1)?;
    join(first, second, (text.get(key..key_end)?, key_line))
}

/// One tree of two. The list that was cut is the last thing the first half says, under the key of that line: what
/// looks like one inside of a text in quotes is none.
fn join(first: Read, second: Read, (key, key_line): (&str, usize)) -> Option<Node> {
    let Read { root: first, aliased: some } = first;
    let Read { root: second, aliased: others } = second;
    let key = key.strip_suffix(':')?;
    let within = first.size().checked_add(second.size())?.checked_add(some)?.checked_add(others)? <= MAX_NODES;
    if !within || some.checked_add(others)? > MAX_ALIASED_NODES {
        return None;
    }
    let mut entries = first.as_mapping()?.to_vec();
    entries.last().filter(|last| *last.key == *key && last.key_span.start.line == key_line)?;
    for Entry { key: name, key_span, value } in second.as_mapping()? {
        let known = entries.iter_mut().find(|entry| entry.key == *name);
        match known {
            None => entries.push(Entry { key: name.clone(), key_span: *key_span, value: value.clone() }),
            Some(known) if **name == *key => {
                let items = known.value.as_list()?.iter().chain(value.as_list()?).cloned().collect();
                let span = Span { start: known.value.span().start, end: value.span().end };
                known.value = Node::new(Kind::List(items), span);
            }
            Some(_) => return None,
        }
    }
    let span = Span { start: first.span().start, end: second.span().end };
    Some(Node::new(Kind::Mapping(entries.into()), span))
}

/// Where a text is cut.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    /// The line of the list's key, which says nothing else.
    key: usize,
    key_end: usize,
    /// The line of the first item of the second half.
    item: usize,
    /// The column of items.
    indent: usize,
}

impl Cut {
    fn find(text: &str, middle: usize) -> Option<Self> {
        // Directives hold for the whole of a document; a byte order mark could hide one.
        if text.starts_with(['%', '\u{feff}']) || text.contains("\n%") || text.contains('\r') {
            return None;
        }
        let (mut key, mut start) = (None, 0_usize);
        let mut indent = None;
        for line in text.split_inclusive('\n') {
            let here = start;
            start = start.checked_add(line.len())?;
            let content = line.trim_start_matches(' ');
            let column = line.len().checked_sub(content.len())?;
            let content = content.trim_end_matches('\n');
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let item = content.starts_with("- ");
            match (key, indent) {
                (Some((key, key_end)), Some(indent)) if item && column == indent && here >= middle => {
                    return Some(Self { key, key_end, item: here, indent });
                }
                (Some(_), None) if item => indent = Some(column),
                // A key of the outermost mapping; what it says, if anything, is none of our list.
                _ if column == 0 && !item => {
                    let name = content.strip_suffix(':').unwrap_or_default();
                    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                    key = bare.then_some((here, here.checked_add(content.len())?));
                    indent = None;
                }
                (Some(_), None) => key = None,
                (Some(_) | None, _) => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every cut of a text gives the tree of the whole, or none.
    fn check(text: &str) -> usize {
        let whole = build::document(text, 0).ok().map(|read| read.root);
        let mut cuts = 0;
        for middle in 0..text.len() {
            if let Some(tree) = read(text, middle) {
                assert_eq!(Some(&tree), whole.as_ref(), "cut at {middle} of {text}");
                cuts += 1;
            }
        }
        cuts
    }

    const ITEM: &str = "- from: https://é.test # one\n  policy:\n  - allow:\n      or: [{domain: a}, {email: 'b'}]\n";

    #[test]
    fn two_halves_are_the_whole() {
        let items = ITEM.repeat(3);
        let indented = format!("  {}", items.trim_end().replace('\n', "\n  "));
        for text in [
            format!("routes:\n{items}"),
            format!("routes:\n{indented}\n"),
            format!("routes:\n{indented}"),
            format!("listen: {{a: 1}}\nroutes:\n\n# first\n{items}\n# behind\n\nproviders:\n  a: {{b: c}}\n"),
            format!("---\ntls:\n  certificates:\n  - a\n  - b\nroutes:\n{indented}\nlast: 5\n"),
            format!("routes:\n{items}- text: |\n    - block\n\n    more\n- folded: >-\n    x\n{items}"),
            format!("a:\n- 1\n- 2\nb:\n- 3\n- 4\nroutes:\n{items}"),
            "routes:\n- a\n- - b\n  - c\n- d\n-   e: 1\n    f:\n    - 2\n- g\n".to_owned(),
        ] {
            assert!(check(&text) > 0, "never cut: {text}");
        }
    }

    #[test]
    fn what_reaches_over_the_cut_is_left_to_the_whole() {
        for text in [
            "routes:\n- &a {x: 1}\n- *a\n",
            "routes:\n- 'one\n\n- two'\n- {a: [\n- 1]}\n",
            "a: {\nroutes:\n- 1\n- 2\n}\n",
            "x: 1\nroutes:\n- 1\n- 2\nx: 2\n",
            "routes:\n- 1\n- 2\n---\nroutes: []\n",
            "%TAG !! tag:x,2000:\n---\nroutes:\n- !!str 1\n- !!str 2\n",
            "routes: !!seq\n- 1\n- 2\n",
            "routes:\n- 1\n- 2\n- : :\n",
            "a:\n- \"x\nroutes:\n- 1\"\n- 2\n- 3\n",
            "\u{feff}%TAG !! tag:x,2000:\n---\nroutes:\n- 1\n- !!str 2\n",
        ] {
            assert_eq!(check(text), 0, "{text}");
        }
        // The twin: an alias whose anchor is in the same half.
        assert!(check("routes:\n- 1\n- &a {x: 1}\n- *a\n") > 0);
    }

    #[test]
    fn bounds_hold_for_both_halves_together() {
        let half = |size: usize, aliased: usize| {
            let Read { mut root, .. } = build::document("routes:\n- 1\n", 0).unwrap();
            root.size = size;
            Read { root, aliased }
        };
        let most = MAX_NODES / 2;
        assert!(join(half(most, 0), half(most, 0), ("routes:", 1)).is_some());
        assert!(join(half(most, 0), half(most + 1, 0), ("routes:", 1)).is_none());
        let most = MAX_ALIASED_NODES / 2;
        assert!(join(half(2, most), half(2, most), ("routes:", 1)).is_some());
        assert!(join(half(2, most), half(2, most + 1), ("routes:", 1)).is_none());
        assert!(join(half(2, 0), half(2, 0), ("routes:", 2)).is_none(), "another line's key");
    }

    #[test]
    fn a_large_text_is_read_the_same_either_way() {
        let text = format!("routes:\n{}", ITEM.repeat(LARGE / ITEM.len() + 1));
        let whole = build::document(&text, 0).unwrap().root;
        assert_eq!(super::super::parse(&text).unwrap(), whole);
        assert!(read(&text, text.len() / 2).is_some());
    }
}
