//! Lines arrive whole and in order, through rotation, a change of file, a full queue and a broken disk.

use std::os::unix::fs::PermissionsExt as _;

use portcullis_gate::PresentedCertificate;
use portcullis_identity::Timestamp;

use super::*;

fn record(request_id: &str) -> Arc<DecisionRecord> {
    Arc::new(DecisionRecord {
        request_id: request_id.to_owned(),
        at: Timestamp::from_unix_seconds(1_772_442_000),
        method: Some(http::Method::GET),
        host: "wiki.corp.test".to_owned(),
        path: "/".to_owned(),
        client_address: Some([192, 0, 2, 7].into()),
        preflight: false,
        mcp_tool: portcullis_policy::McpTool::None,
        certificate: PresentedCertificate::Absent,
        route: None,
        session: None,
        outcome: "refuse",
        cause: "no_route",
        missing: None,
        decision: None,
        shadow: None,
        generation: None,
        records: None,
    })
}

fn ids(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let id = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["request_id"].as_str().unwrap().to_owned()
    };
    text.lines().map(id).collect()
}

fn sink() -> Sink {
    Sink::new(&Registry::new()).unwrap()
}

fn follow(sink: &Sink, path: Option<&Path>) {
    sink.take_over(sink.prepare(path).unwrap());
}

#[test]
fn records_are_lines_of_a_file_for_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.jsonl");
    std::fs::write(&path, "{\"request_id\":\"before\"}\n").unwrap();
    let sink = sink();
    sink.keep(&record("to nobody"));
    follow(&sink, Some(&path));
    ["a", "b"].iter().for_each(|id| sink.keep(&record(id)));
    sink.close();
    assert_eq!(ids(&path), ["before", "a", "b"], "appended, and all of it written before the end");
    assert_eq!(sink.counters.written.get(), 2);
    let fresh = folder.path().join("fresh");
    follow(&sink, Some(&fresh));
    sink.close();
    assert_eq!(std::fs::metadata(&fresh).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn another_file_takes_over_and_none_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let sink = sink();
    follow(&sink, Some(&one));
    sink.keep(&record("a"));
    let first = sink.open.lock().unwrap().take().unwrap().writer;
    follow(&sink, Some(&other));
    first.join().unwrap();
    sink.keep(&record("b"));
    let missing = folder.path().join("missing/file");
    assert!(sink.prepare(Some(&missing)).is_err(), "the one before goes on");
    sink.keep(&record("c"));
    sink.close();
    follow(&sink, None);
    sink.keep(&record("d"));
    assert_eq!((ids(&one), ids(&other)), (vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()]));
    assert!(sink.prepare(Some(folder.path())).is_err(), "a folder is no file");
}

#[test]
fn a_file_that_was_moved_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("decisions"), folder.path().join("decisions.1"));
    let (sender, receiver) = sync_channel(8);
    let counters = sink().counters;
    let mut writing = Writing::new(&path, counters.clone()).unwrap();
    let write = |writing: &mut Writing, id: &str| {
        let (sender, receiver) = sync_channel(8);
        sender.send(record(id)).unwrap();
        drop(sender);
        writing.run(&receiver);
    };
    write(&mut writing, "a");
    std::fs::rename(&path, &old).unwrap();
    write(&mut writing, "b");
    write(&mut writing, "c");
    assert_eq!((ids(&old), ids(&path)), (vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()]));
    // Where it cannot be opened the records are counted as failed, and it goes on once it can.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    write(&mut writing, "d");
    assert_eq!((counters.written.get(), counters.failed.get()), (3, 1));
    std::fs::remove_dir(&path).unwrap();
    write(&mut writing, "e");
    assert_eq!(ids(&path), ["e"]);
    drop(sender);
    writing.run(&receiver);
    assert_eq!((counters.written.get(), counters.failed.get()), (4, 1));
}

#[test]
fn what_finds_the_queue_full_is_dropped_and_counted() {
    let sink = sink();
    let (sender, receiver) = sync_channel(1);
    sink.queue.store(Some(Arc::new(sender)));
    ["a", "b", "c"].iter().for_each(|id| sink.keep(&record(id)));
    assert_eq!(sink.counters.dropped.get(), 2);
    assert_eq!(receiver.recv().unwrap().request_id, "a");
    sink.keep(&record("d"));
    assert_eq!(receiver.recv().unwrap().request_id, "d", "room came back");
}
