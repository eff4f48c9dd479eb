//! Each way a file changes is heard; what is not ours is not.

use std::fs;
use std::os::unix::fs::symlink;

use notify::event::{CreateKind, DataChange, RenameMode};

use super::settling::{MOST, QUIET};
use super::*;

/// Longer than any machine under load needs; a test that passes never waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Scene {
    folder: tempfile::TempDir,
    watcher: Watcher,
    changes: Receiver<()>,
}

impl Scene {
    fn of(prepare: impl FnOnce(&Path) -> Vec<PathBuf>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = prepare(&folder.path().canonicalize().unwrap());
        let (watcher, changes) = Watcher::new(listed(&paths)).unwrap();
        Self { folder, watcher, changes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn heard(&self) {
        self.changes.recv_timeout(PATIENCE).unwrap();
    }

    /// Shows that nothing is on its way: a later, real change gives one message and no more.
    fn nothing_more(self) {
        let Self { folder, watcher, changes } = self;
        drop(watcher);
        assert_eq!(changes.try_iter().count(), 0);
        drop(folder);
    }
}

fn listed(paths: &[PathBuf]) -> Vec<ReferencedFile> {
    let digest = |path: &PathBuf| fs::read(path).ok().map(|bytes| sha256(&bytes));
    paths.iter().map(|path| ReferencedFile { path: path.clone(), digest: digest(path) }).collect()
}

fn a_file_in(folder: &Path) -> Vec<PathBuf> {
    fs::write(folder.join("a.yaml"), "one\n").unwrap();
    vec![folder.join("a.yaml")]
}

fn one_file() -> Scene {
    Scene::of(a_file_in)
}

#[test]
fn a_file_written_in_place_is_heard() {
    let scene = one_file();
    fs::write(scene.path("a.yaml"), "two\n").unwrap();
    scene.heard();
    scene.nothing_more();
}

#[test]
fn a_file_replaced_by_rename_is_heard_twice() {
    let scene = one_file();
    for text in ["two\n", "three\n"] {
        fs::write(scene.path("a.new"), text).unwrap();
        fs::rename(scene.path("a.new"), scene.path("a.yaml")).unwrap();
        scene.heard();
    }
}

#[test]
fn a_deleted_and_an_emptied_file_are_heard() {
    let scene = one_file();
    fs::remove_file(scene.path("a.yaml")).unwrap();
    scene.heard();
    fs::write(scene.path("a.yaml"), "").unwrap();
    scene.heard();
}

#[test]
fn a_rewrite_with_the_same_content_is_no_change() {
    let scene = one_file();
    fs::write(scene.path("other"), "x").unwrap();
    fs::write(scene.path("a.yaml"), "one\n").unwrap();
    scene.nothing_more();
}

#[test]
fn a_config_map_swap_is_heard() {
    let scene = Scene::of(|folder| {
        for version in ["v1", "v2"] {
            fs::create_dir(folder.join(version)).unwrap();
            fs::write(folder.join(version).join("a.yaml"), version).unwrap();
        }
        symlink("v1", folder.join("..data")).unwrap();
        symlink("..data/a.yaml", folder.join("a.yaml")).unwrap();
        vec![folder.join("a.yaml")]
    });
    symlink("v2", scene.path("..data_tmp")).unwrap();
    fs::rename(scene.path("..data_tmp"), scene.path("..data")).unwrap();
    scene.heard();
}

#[test]
fn a_swapped_folder_symlink_is_heard() {
    let scene = Scene::of(|folder| {
        for version in ["v1", "v2"] {
            fs::create_dir(folder.join(version)).unwrap();
            fs::write(folder.join(version).join("a.yaml"), version).unwrap();
        }
        symlink("v1", folder.join("current")).unwrap();
        vec![folder.join("current/a.yaml")]
    });
    symlink("v2", scene.path("next")).unwrap();
    fs::rename(scene.path("next"), scene.path("current")).unwrap();
    scene.heard();
}

#[test]
fn a_missing_file_is_heard_when_it_appears_with_its_folder() {
    let scene = Scene::of(|folder| vec![folder.join("later/a.pem")]);
    fs::create_dir(scene.path("later")).unwrap();
    fs::write(scene.path("later/a.pem"), "x").unwrap();
    scene.heard();
}

#[test]
fn a_change_between_load_and_watch_is_heard() {
    let scene = Scene::of(|folder| {
        fs::write(folder.join("a.yaml"), "new\n").unwrap();
        vec![]
    });
    let path = scene.path("a.yaml");
    scene.watcher.follow(vec![ReferencedFile { path, digest: Some(sha256(b"old\n")) }]);
    scene.heard();
}

#[test]
fn a_file_that_stays_open_is_heard_only_when_it_is_closed() {
    use std::io::Write as _;
    let scene = one_file();
    let mut file = fs::File::create(scene.path("a.yaml")).unwrap();
    file.write_all(b"half").unwrap();
    file.flush().unwrap();
    file.write_all(b" and whole\n").unwrap();
    drop(file);
    scene.heard();
    scene.nothing_more();
}

#[test]
fn who_asks_is_told_once_nothing_is_being_written() {
    use std::io::Write as _;
    let scene = one_file();
    scene.watcher.settled().recv_timeout(PATIENCE).unwrap();
    // Half a file, cut at the end of a line, and still open.
    let mut open = fs::File::create(scene.path("a.yaml")).unwrap();
    open.write_all(b"two\n").unwrap();
    let settled = scene.watcher.settled();
    assert_eq!(settled.recv_timeout(3 * QUIET), Err(RecvTimeoutError::Timeout));
    open.write_all(b"three\n").unwrap();
    drop(open);
    settled.recv_timeout(PATIENCE).unwrap();
    scene.heard();
    assert_eq!(fs::read(scene.path("a.yaml")).unwrap(), b"two\nthree\n");
    scene.nothing_more();
}

/// A watch without its thread: the test says what happens, and when.
struct Still {
    folder: tempfile::TempDir,
    watch: Watch,
    changes: Receiver<()>,
    now: Instant,
}

impl Still {
    fn of(prepare: impl FnOnce(&Path) -> Vec<PathBuf>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = prepare(&folder.path().canonicalize().unwrap());
        let (changed, changes) = mpsc::sync_channel(1);
        let now = now();
        let mut watch = Watch::new(notify::recommended_watcher(|_event| {}).unwrap(), changed, now);
        watch.follow(listed(&paths));
        Self { folder, watch, changes, now }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// An event, `later` than the one before.
    fn event(&mut self, later: Duration, kind: EventKind, name: &str) {
        let event = Event::new(kind).add_path(self.path(name));
        self.hear(later, Message::Event(Some(event)));
    }

    fn hear(&mut self, later: Duration, message: Message) {
        self.now += later;
        assert!(self.watch.hear(message, self.now).is_continue());
        self.watch.pass(self.now);
    }

    /// Time passes and nothing is heard; whether a change was reported.
    fn after(&mut self, later: Duration) -> bool {
        self.now += later;
        self.watch.pass(self.now);
        self.changes.try_recv().is_ok()
    }
}

const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
const RENAMED: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
const TICK: Duration = Duration::from_millis(10);

fn still_one_file() -> Still {
    Still::of(a_file_in)
}

#[test]
fn a_log_beside_our_file_puts_nothing_off() {
    let mut still = still_one_file();
    fs::write(still.path("a.yaml"), "two\n").unwrap();
    still.event(Duration::ZERO, WRITTEN, "a.yaml");
    still.event(Duration::ZERO, CLOSED, "a.yaml");
    for _ in 1..10 {
        still.event(TICK, WRITTEN, "access.log");
        assert!(still.changes.try_recv().is_err());
    }
    still.event(TICK, WRITTEN, "access.log");
    assert!(still.changes.try_recv().is_ok(), "compared {QUIET:?} after the last event of ours");
}

#[test]
fn a_log_beside_our_file_begins_nothing() {
    let mut still = still_one_file();
    fs::write(still.path("a.yaml"), "two\n").unwrap();
    still.event(TICK, WRITTEN, "access.log");
    assert!(!still.after(QUIET));
    still.event(TICK, WRITTEN, "a.yaml");
    still.event(TICK, CLOSED, "a.yaml");
    assert!(still.after(QUIET));
}

#[test]
fn a_log_beside_our_file_does_not_put_off_the_round() {
    let mut still = still_one_file();
    fs::write(still.path("a.yaml"), "two\n").unwrap();
    still.event(ROUND / 2, WRITTEN, "access.log");
    assert!(still.changes.try_recv().is_err());
    still.event(ROUND / 2, WRITTEN, "access.log");
    assert!(still.changes.try_recv().is_ok());
}

#[test]
fn an_event_of_ours_puts_it_off_but_not_for_ever() {
    let mut still = still_one_file();
    fs::write(still.path("a.yaml"), "two\n").unwrap();
    let begun = still.now;
    still.event(Duration::ZERO, CLOSED, "a.yaml");
    while still.changes.try_recv().is_err() {
        still.event(TICK, CLOSED, "a.yaml");
        assert!(still.now <= begun + MOST, "still settling");
    }
    assert_eq!(still.now, begun + MOST);
}

#[test]
fn a_file_that_is_being_written_is_waited_for_but_not_for_ever() {
    let mut still = still_one_file();
    fs::write(still.path("a.yaml"), "two\n").unwrap();
    still.event(Duration::ZERO, WRITTEN, "a.yaml");
    assert!(!still.after(QUIET));
    assert!(still.after(MOST - QUIET), "it stays open");
    fs::write(still.path("a.yaml"), "three\n").unwrap();
    still.event(TICK, WRITTEN, "a.yaml");
    still.event(TICK, CLOSED, "a.yaml");
    assert!(still.after(QUIET), "it was closed");
}

#[test]
fn a_folder_of_ours_that_is_swapped_or_renamed_is_ours() {
    let mut still = Still::of(|folder| {
        for version in ["v1", "v2"] {
            fs::create_dir(folder.join(version)).unwrap();
            fs::write(folder.join(version).join("a.yaml"), version).unwrap();
        }
        symlink("v1", folder.join("..data")).unwrap();
        symlink("..data/a.yaml", folder.join("a.yaml")).unwrap();
        vec![folder.join("a.yaml")]
    });
    symlink("v2", still.path("..data_tmp")).unwrap();
    still.event(TICK, EventKind::Create(CreateKind::Any), "..data_tmp");
    assert!(still.watch.settling.is_none(), "not yet on the way to our file");
    fs::rename(still.path("..data_tmp"), still.path("..data")).unwrap();
    still.event(TICK, RENAMED, "..data");
    assert!(still.after(QUIET));
    fs::rename(still.path("v2"), still.path("v3")).unwrap();
    still.event(TICK, RENAMED, "v2");
    assert!(still.after(QUIET), "what it leads to is gone");
    still.event(TICK, RENAMED, "v1");
    assert!(still.watch.settling.is_none(), "no longer on the way to our file");
}

#[test]
fn lost_events_may_have_been_ours() {
    let mut still = still_one_file();
    fs::write(still.path("a.yaml"), "two\n").unwrap();
    still.hear(TICK, Message::Event(None));
    assert!(still.after(QUIET));
}
