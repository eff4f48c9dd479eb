//! Where a process keeps its sockets and its state, and how a command finds that without reading the rest of the file.

use std::path::{Path, PathBuf};

use portcullis_policy::yaml::{self, Node};

use crate::environment::Environment;
use crate::files::{FileError, MAX_CONFIG_BYTES, read_settled};
use crate::model::Directories;
use crate::schema::DirectoriesSection;

/// The section's key.
const SECTION: &str = "directories";

/// Why a file does not say where a process keeps its sockets.
#[derive(Debug, thiserror::Error)]
pub enum NoDirectories {
    /// The file itself.
    #[error("{path} {cause}", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The section cannot be found or read.
    #[error("{path}: which `directories` it names cannot be read", path = path.display())]
    Section {
        /// Which file.
        path: PathBuf,
    },
}

/// Where the process that runs a configuration keeps sockets and state, as [`load`](crate::load) would say. Nothing else
/// of the file is judged, and nothing it references is read: a command that asks a running process costs the same with
/// any number of routes, and asks also where the file is refused.
///
/// # Errors
/// The file cannot be read, or neither that section by itself nor the whole file is YAML.
pub fn directories(path: &Path, env: &dyn Environment) -> Result<Directories, NoDirectories> {
    let unreadable = |error: FileError| NoDirectories::Unreadable { path: path.to_owned(), cause: error.to_string() };
    let absolute = std::path::absolute(path).unwrap_or_else(|_error| path.to_owned());
    let base = absolute.parent().unwrap_or_else(|| Path::new("/"));
    let bytes = read_settled(&absolute, MAX_CONFIG_BYTES).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_not_utf8| unreadable(FileError::NotText))?;
    let section = section(&text).ok_or_else(|| NoDirectories::Section { path: path.to_owned() })?;
    Ok(resolve(section, base, env))
}

/// The file's directories, systemd's, or the usual ones.
pub(crate) fn resolve(section: DirectoriesSection, base: &Path, env: &dyn Environment) -> Directories {
    let DirectoriesSection { run_dir, state_dir } = section;
    let place = |given: Option<PathBuf>, variable: &str, usual: &str| {
        let given = given.map(|path| base.join(path));
        // systemd lists several with colons; the first is the unit's own.
        let systemd = || env.var(variable).and_then(|list| list.split(':').next().map(PathBuf::from));
        let systemd = || systemd().filter(|path| path.is_absolute());
        let path = given.or_else(systemd).unwrap_or_else(|| PathBuf::from(usual));
        // Sockets and the store outlive a change of the working directory.
        std::path::absolute(&path).unwrap_or(path)
    };
    Directories {
        run: place(run_dir, "RUNTIME_DIRECTORY", "/run/portcullis"),
        state: place(state_dir, "STATE_DIRECTORY", "/var/lib/portcullis"),
    }
}

/// What a text says about directories; `None` if that cannot be told.
fn section(text: &str) -> Option<DirectoriesSection> {
    match excerpt(text) {
        Excerpt::Absent => Some(DirectoriesSection::default()),
        Excerpt::Lines(lines) => yaml::parse(lines).ok().and_then(|tree| read(&tree)).or_else(|| whole(text)),
        Excerpt::Unclear => whole(text),
    }
}

/// The long way, for texts whose lines do not tell: flow mappings, aliases, a file that is indented as a whole.
fn whole(text: &str) -> Option<DirectoriesSection> {
    yaml::parse(text).ok().and_then(|tree| read(&tree))
}

fn read(tree: &Node) -> Option<DirectoriesSection> {
    let Some(section) = tree.get(SECTION) else { return tree.as_mapping().map(|_| DirectoriesSection::default()) };
    section.as_mapping()?;
    let path = |key: &str| match section.get(key) {
        Some(node) => node.as_text().map(|text| Some(PathBuf::from(text))),
        None => Some(None),
    };
    Some(DirectoriesSection { run_dir: path("run_dir")?, state_dir: path("state_dir")? })
}

/// The part of a text that is about directories, as far as its lines tell.
#[derive(Debug, PartialEq, Eq)]
enum Excerpt<'a> {
    /// The section's key and what is indented below it.
    Lines(&'a str),
    /// Sections, and this is not among them.
    Absent,
    /// Not one section a line.
    Unclear,
}

fn excerpt(text: &str) -> Excerpt<'_> {
    let (mut begin, mut offset, mut sections) = (None, 0, 0_usize);
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let content = line.trim();
        let below = line.starts_with([' ', '\t']);
        if content.is_empty() || content.starts_with('#') || (below && begin.is_some()) {
            continue;
        }
        if let Some(begin) = begin {
            return text.get(begin..start).map_or(Excerpt::Unclear, Excerpt::Lines);
        }
        let is_ours = content.strip_prefix(SECTION).is_some_and(|rest| rest.trim_start().starts_with(':'));
        match line.chars().next() {
            Some('a'..='z') if is_ours => begin = Some(start),
            Some('a'..='z') => sections += 1,
            // Below a section of another name; a list may stand in its key's own column.
            Some(' ' | '\t' | '-') if sections > 0 => {}
            // Where the document begins.
            Some('-') if content == "---" => {}
            _ => return Excerpt::Unclear,
        }
    }
    begin.map_or(Excerpt::Absent, |begin| text.get(begin..).map_or(Excerpt::Unclear, Excerpt::Lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Unit;

    impl Environment for Unit {
        fn var(&self, name: &str) -> Option<String> {
            (name == "RUNTIME_DIRECTORY").then(|| "/run/unit:/run/other".to_owned())
        }
    }

    /// What `directories` says of a text.
    fn found(text: &str) -> Result<Directories, NoDirectories> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portcullis.yaml");
        std::fs::write(&path, text).unwrap();
        directories(&path, &Unit)
    }

    fn run(text: &str) -> String {
        found(text).unwrap().run.display().to_string()
    }

    #[test]
    fn the_section_is_found_however_it_is_written() {
        for text in [
            "directories: {run_dir: /a, state_dir: /b}\nroutes: []\n",
            "routes: []\ndirectories:\n  # where\n\n  run_dir: /a # here\n",
            "---\nroutes:\n- from: https://a.test\n  to: http://b\ndirectories:\n  run_dir: \"/a\"\nlisten: {}\n",
            "\"directories\": {run_dir: /a}\nroutes: []\n",
            "{\"directories\": {\"run_dir\": \"/a\"}, \"routes\": []}\n",
            "  directories: {run_dir: /a}\n  routes: []\n",
            "replica: &d {run_dir: /a}\ndirectories: *d\n",
            "directories:\n  run_dir: /a",
        ] {
            assert_eq!(run(text), "/a", "{text}");
        }
    }

    #[test]
    fn what_a_load_refuses_is_not_in_the_way() {
        for text in [
            "directories: {run_dir: /a}\nroutes: [\n",
            "directories: {run_dir: /a, rundir: /b}\nroutes: 5\n",
            "directories: {run_dir: /a}\nroutes:\n  - {from: nonsense, policy: [{allow: {or: [{emial: x}]}}]}\n",
            "directories: {run_dir: /a}\ntls: {certificates: [{cert: {file: /not/there}}]}\nrout",
        ] {
            assert!(crate::from_text(text, "t", Path::new("/"), &Unit).is_err(), "{text}");
            assert_eq!(run(text), "/a", "{text}");
        }
    }

    #[test]
    fn absent_it_is_what_a_load_takes() {
        for text in
            ["routes: []\n", "", "routes:\n  - text: |\n      directories: {run_dir: /a}\n", "directories: {}\n"]
        {
            assert_eq!(run(text), "/run/unit", "{text}");
        }
        let text = "routes: []\n";
        let loaded = crate::from_text(text, "t", Path::new("/"), &Unit).unwrap();
        assert_eq!(found(text).unwrap(), loaded.config.directories);
    }

    #[test]
    fn a_relative_folder_is_below_that_of_the_file() {
        assert!(run("directories: {run_dir: sockets}\n").ends_with("/sockets"));
        assert!(run("directories: {run_dir: sockets}\n").starts_with('/'));
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        for text in ["directories: [\n", "directories: {run_dir: [a]}\n", "directories: /a\n", "[\n"] {
            assert!(matches!(found(text), Err(NoDirectories::Section { .. })), "{text}");
        }
        let missing = directories(Path::new("/not/there.yaml"), &Unit);
        assert!(matches!(missing, Err(NoDirectories::Unreadable { .. })));
    }
}
