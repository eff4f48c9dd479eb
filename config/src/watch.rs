//! Hears when a file of the configuration changes: written in place, replaced by rename, deleted, or reached
//! through a symlink that now points elsewhere.
//!
//! It watches folders, as a file that is replaced is another file. What it reports is a change of content,
//! never a mere event; what to do about it, and whether the new content is any good, is not decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::digest::sha256;
use crate::files::{MAX_CONFIG_BYTES, read_settled};
use crate::load::ReferencedFile;

/// Files are compared once this long nothing has happened to them.
const QUIET: Duration = Duration::from_millis(100);

/// How many times [`QUIET`] a file that is being written may stay open before it is looked at all the same.
const OPEN_QUIETS: u32 = 50;

/// Events in a row after which files are compared although there is no quiet.
const MAX_BURST: u32 = 10_000;

/// Files are compared this often without any event: for file systems that send none.
const ROUND: Duration = Duration::from_secs(30);

/// The most symlinks on the way to one file.
const MAX_LINKS: u32 = 40;

/// Watches the files of a configuration until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    orders: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// Why files cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system has no watch to give.
    #[error("files cannot be watched")]
    System(#[from] notify::Error),
    /// There is no thread to be had.
    #[error("the watching thread cannot be started")]
    Thread(#[from] std::io::Error),
}

impl Watcher {
    /// Watches `files`, as a load listed them. The receiver gets one message after each change of their
    /// content, a change since that load included; messages nobody has taken yet merge into one.
    ///
    /// # Errors
    /// The system has no watches or no thread left. A folder that is not there is no error.
    pub fn new(files: Vec<ReferencedFile>) -> Result<(Self, Receiver<()>), WatchError> {
        let (orders, inbox) = mpsc::channel();
        let events = orders.clone();
        let system = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // A closed inbox means that the watcher is being dropped.
            drop(events.send(Message::Event(event.ok())));
        })?;
        let (changed, changes) = mpsc::sync_channel(1);
        let mut watch = Watch {
            system,
            folders: BTreeSet::new(),
            names: BTreeSet::new(),
            files: BTreeMap::new(),
            changed,
            waiting: Vec::new(),
        };
        watch.follow(files);
        let thread = std::thread::Builder::new().name("config-watch".to_owned()).spawn(move || watch.run(&inbox))?;
        Ok((Self { orders, thread: Some(thread) }, changes))
    }

    /// Watches these files from now on instead: what the latest load read, or looked for in vain.
    pub fn follow(&self, files: Vec<ReferencedFile>) {
        // The inbox is closed only once this guard is dropped.
        drop(self.orders.send(Message::Follow(files)));
    }
}

impl Watcher {
    /// One message on the receiver once nothing has happened to the files for a moment and none is open for writing:
    /// whoever reads them then does not meet one that is half-written. It comes within seconds, whatever is open.
    #[must_use]
    pub fn settled(&self) -> Receiver<()> {
        let (reply, settled) = mpsc::channel();
        // The inbox is closed only once this guard is dropped.
        drop(self.orders.send(Message::Settle(reply)));
        settled
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.orders.send(Message::Stop));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[derive(Debug)]
enum Message {
    /// Something happened in a folder; `None`: events were lost.
    Event(Option<Event>),
    Follow(Vec<ReferencedFile>),
    /// Somebody waits until nothing is being written.
    Settle(Sender<()>),
    Stop,
}

/// What the thread owns.
#[derive(Debug)]
struct Watch {
    system: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    /// Files, symlinks on the way to them, and their folders: events about others are not ours.
    names: BTreeSet<PathBuf>,
    /// The content last reported; `None`: not there or not readable.
    files: BTreeMap<PathBuf, Option<[u8; 32]>>,
    changed: SyncSender<()>,
    /// Who waits until nothing is being written.
    waiting: Vec<Sender<()>>,
}

impl Watch {
    fn run(mut self, inbox: &Receiver<Message>) {
        // What happened between the load and the first watch is a change too.
        self.compare();
        loop {
            match inbox.recv_timeout(ROUND) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Message::Follow(files)) => {
                    self.follow(files);
                    self.compare();
                }
                Ok(Message::Event(event)) => {
                    let mut writers = BTreeSet::new();
                    if !self.concerns(event.as_ref(), &mut writers) {
                        continue;
                    }
                    if self.settle(inbox, writers).is_break() {
                        return;
                    }
                    self.compare();
                    self.tell_settled();
                }
                Ok(Message::Settle(reply)) => {
                    self.waiting.push(reply);
                    if self.settle(inbox, BTreeSet::new()).is_break() {
                        return;
                    }
                    self.compare();
                    self.tell_settled();
                }
                Err(RecvTimeoutError::Timeout) => self.compare(),
            }
        }
    }

    /// Waits until nothing happens any more and no file is open for writing.
    fn settle(&mut self, inbox: &Receiver<Message>, mut writers: BTreeSet<PathBuf>) -> std::ops::ControlFlow<()> {
        let mut quiets = 0;
        let mut burst = 0;
        while quiets < OPEN_QUIETS && burst < MAX_BURST {
            match inbox.recv_timeout(QUIET) {
                Ok(Message::Event(event)) => {
                    burst = burst.saturating_add(1);
                    self.concerns(event.as_ref(), &mut writers);
                }
                Ok(Message::Follow(files)) => self.follow(files),
                Ok(Message::Settle(reply)) => self.waiting.push(reply),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return std::ops::ControlFlow::Break(()),
                Err(RecvTimeoutError::Timeout) if writers.is_empty() => break,
                Err(RecvTimeoutError::Timeout) => quiets = quiets.saturating_add(1),
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    fn tell_settled(&mut self) {
        for reply in self.waiting.drain(..) {
            // Who asked may have gone away.
            _ = reply.send(());
        }
    }

    /// Whether an event is about one of our names; keeps the list of those that are being written.
    fn concerns(&self, event: Option<&Event>, writers: &mut BTreeSet<PathBuf>) -> bool {
        let Some(event) = event else { return true };
        let ours: Vec<&PathBuf> = event.paths.iter().filter(|path| self.names.contains(*path)).collect();
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                for path in &ours {
                    writers.remove(*path);
                }
            }
            // Reading is what we do ourselves.
            EventKind::Access(_) => return false,
            EventKind::Modify(ModifyKind::Data(_)) => writers.extend(ours.iter().map(|path| (*path).clone())),
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                for path in &ours {
                    writers.remove(*path);
                }
            }
            EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Other => {}
        }
        !ours.is_empty() || event.paths.is_empty()
    }

    /// Takes over a list of files and what their content is believed to be.
    fn follow(&mut self, files: Vec<ReferencedFile>) {
        self.files = files.into_iter().map(|file| (file.path, file.digest)).collect();
        self.watch_folders();
    }

    /// Compares contents with those last reported, and says so if one differs.
    fn compare(&mut self) {
        // Folders and symlinks may have come and gone; a watch ends with its folder.
        self.watch_folders();
        let mut differs = false;
        for (path, known) in &mut self.files {
            let now = read_settled(path, MAX_CONFIG_BYTES).ok().map(|bytes| sha256(&bytes));
            if *known != now {
                *known = now;
                differs = true;
            }
        }
        if differs {
            match self.changed.try_send(()) {
                // Full: the owner has not taken the last one yet and will see this change with it.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
    }

    fn watch_folders(&mut self) {
        let mut names = BTreeSet::new();
        for path in self.files.keys() {
            collect_names(path, &mut names);
        }
        let mut folders: BTreeSet<PathBuf> =
            names.iter().filter_map(|name| name.parent()).map(Path::to_owned).collect();
        // The first folder that exists above a missing one tells when it appears.
        folders = folders
            .iter()
            .filter_map(|folder| folder.ancestors().find(|above| above.is_dir()))
            .map(Path::to_owned)
            .collect();
        names.extend(folders.iter().cloned());
        for gone in self.folders.difference(&folders) {
            // The watch may have ended with its folder.
            drop(self.system.unwatch(gone));
        }
        self.folders.retain(|folder| folders.contains(folder));
        for folder in folders {
            // Watching anew is cheap and finds a folder that was replaced under its name.
            if self.system.watch(&folder, RecursiveMode::NonRecursive).is_ok() {
                self.folders.insert(folder);
            }
        }
        self.names = names;
    }
}

/// The names whose change can change what `path` leads to: itself and every symlink on the way. Missing
/// components are names too.
fn collect_names(path: &Path, names: &mut BTreeSet<PathBuf>) {
    let mut links = 0;
    let mut todo: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(path) = todo.pop() {
        let mut here = PathBuf::new();
        let mut rest = path.components();
        while let Some(component) = rest.next() {
            here.push(component);
            if component == Component::RootDir {
                continue;
            }
            let about = std::fs::symlink_metadata(&here);
            if about.is_err() {
                names.insert(here.clone());
                break;
            }
            let Ok(target) = std::fs::read_link(&here) else { continue };
            names.insert(here.clone());
            links += 1;
            if links <= MAX_LINKS {
                let parent = here.parent().unwrap_or_else(|| Path::new(""));
                todo.push(parent.join(target).join(rest.as_path()));
            }
            break;
        }
        names.insert(path);
    }
}

#[cfg(test)]
mod tests;
