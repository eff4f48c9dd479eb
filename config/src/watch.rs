//! Hears when a file of the configuration changes: written in place, replaced by rename, deleted, or reached
//! through a symlink that now points elsewhere.
//!
//! It watches folders, as a file that is replaced is another file. What it reports is a change of content,
//! never a mere event; what to do about it, and whether the new content is any good, is not decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::digest::sha256;
use crate::files::{MAX_CONFIG_BYTES, read_settled};
use crate::load::ReferencedFile;
use settling::Settling;

mod settling;

/// Files are compared this often whatever events there are: for file systems that send none.
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
        let mut watch = Watch::new(system, changed, now());
        watch.follow(files);
        let thread = std::thread::Builder::new().name("config-watch".to_owned()).spawn(move || watch.run(&inbox))?;
        Ok((Self { orders, thread: Some(thread) }, changes))
    }

    /// Watches these files from now on instead: what the latest load read, or looked for in vain.
    pub fn follow(&self, files: Vec<ReferencedFile>) {
        // The inbox is closed only once this guard is dropped.
        drop(self.orders.send(Message::Follow(files)));
    }

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
    /// Since an event about our files until they are compared.
    settling: Option<Settling>,
    /// When files are compared without any event.
    round: Instant,
}

impl Watch {
    /// Over nothing yet.
    fn new(system: RecommendedWatcher, changed: SyncSender<()>, now: Instant) -> Self {
        Self {
            system,
            folders: BTreeSet::new(),
            names: BTreeSet::new(),
            files: BTreeMap::new(),
            changed,
            waiting: Vec::new(),
            settling: None,
            round: now + ROUND,
        }
    }

    fn run(mut self, inbox: &Receiver<Message>) {
        // What happened between the load and the first watch is a change too.
        self.compare();
        loop {
            let message = match inbox.recv_timeout(self.due().saturating_duration_since(now())) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let now = now();
            if message.is_some_and(|message| self.hear(message, now).is_break()) {
                return;
            }
            self.pass(now);
        }
    }

    /// When files are compared next if nothing more is heard.
    fn due(&self) -> Instant {
        self.settling.as_ref().map_or(self.round, Settling::due)
    }

    fn hear(&mut self, message: Message, now: Instant) -> ControlFlow<()> {
        match message {
            Message::Stop => return ControlFlow::Break(()),
            Message::Event(event) => self.happened(event.as_ref(), now),
            Message::Settle(reply) => {
                self.waiting.push(reply);
                self.settling.get_or_insert_with(|| Settling::begin(now)).stir(now);
            }
            Message::Follow(files) => {
                self.follow(files);
                if self.settling.is_none() {
                    self.compare();
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Compares files if it is time to.
    fn pass(&mut self, now: Instant) {
        if now < self.due() {
            return;
        }
        self.settling = None;
        self.round = now + ROUND;
        self.compare();
        for reply in self.waiting.drain(..) {
            // Who asked may have gone away.
            _ = reply.send(());
        }
    }

    /// Begins to settle, or goes on, if an event is about one of our names: a log that is written beside our files
    /// puts nothing off. `None`: events were lost, and one of them may have been ours.
    fn happened(&mut self, event: Option<&Event>, now: Instant) {
        let ours = |path: &&PathBuf| self.names.contains(*path);
        let paths: Vec<&PathBuf> = event.into_iter().flat_map(|event| &event.paths).filter(ours).collect();
        let nameless = event.is_none_or(|event| event.paths.is_empty());
        let kind = event.map_or(EventKind::Any, |event| event.kind);
        let closes = matches!(kind, EventKind::Access(AccessKind::Close(AccessMode::Write)));
        // Reading is what we do ourselves.
        let reads = matches!(kind, EventKind::Access(_)) && !closes;
        if reads || (paths.is_empty() && !nameless) {
            return;
        }
        let settling = self.settling.get_or_insert_with(|| Settling::begin(now));
        settling.stir(now);
        for path in paths {
            if matches!(kind, EventKind::Modify(ModifyKind::Data(_))) {
                settling.opened(path);
            } else if closes || matches!(kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
                settling.closed(path);
            }
        }
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

#[expect(
    clippy::disallowed_methods,
    reason = "the clock of this thread, which has no runtime; what it decides takes time as a parameter"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
