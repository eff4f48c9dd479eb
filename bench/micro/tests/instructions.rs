//! What a decision costs in instructions, which no other load of the machine changes: under callgrind, in the
//! build that tests use.
//!
//! Two things are asserted. A decision among 10 000 routes or 100 000 sessions costs at most a tenth more than one
//! among ten. And no step costs more than an eighth more than the figures beside this file say; with `REGENERATE=1`
//! they are written anew. The figures are those of a build of the whole workspace (`cargo test --workspace --test
//! instructions`), whose third-party crates have more features on than this package's alone asks for, where a step
//! costs up to a tenth more. They belong to one compiler: under another one they are only a bound of one half more.
//! Callgrind shows programs the same processor features on most machines, not on all: digests of aws-lc are why some
//! steps are given more.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/instructions.txt");

/// How often `src/bin/instructions.rs` does each case.
const TIMES: u64 = 256;

/// The most that many may cost, of what few cost.
const GROWTH: f64 = 1.1;

/// Instructions of each case, once.
fn counted() -> BTreeMap<String, u64> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--collect-atstart=no",
            "--toggle-collect=*instructions::measured*",
            "--dump-before=*instructions::counted*",
        ])
        .arg(format!("--callgrind-out-file={}", folder.path().join("counted").display()))
        .arg(env!("CARGO_BIN_EXE_instructions"))
        .output()
        .unwrap_or_else(|error| panic!("valgrind: {error}; ./scripts/test-tools installs it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    let total = |number: usize| {
        let dump = std::fs::read_to_string(folder.path().join(format!("counted.{number}"))).unwrap();
        let line =
            dump.lines().find_map(|line| line.strip_prefix("summary: ").or_else(|| line.strip_prefix("totals: ")));
        line.unwrap().trim().parse::<u64>().unwrap() / TIMES
    };
    names.lines().enumerate().map(|(place, name)| (name.to_owned(), total(place + 1))).collect()
}

/// The compiler's name and version, as the figures' first line has it.
fn compiler() -> String {
    let output = Command::new(option_env!("RUSTC").unwrap_or("rustc")).arg("--version").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// How far a figure may be above the one that was committed.
fn tolerance(name: &str) -> f64 {
    if name.starts_with("find") { 0.25 } else { 0.125 }
}

#[test]
fn a_decision_costs_what_it_did_and_does_not_grow() {
    let counted = counted();
    grows_little(&counted);
    if std::env::var_os("REGENERATE").is_some() {
        let mut text = format!("{}\n", compiler());
        counted.iter().for_each(|(name, count)| writeln!(text, "{name} {count}").unwrap());
        std::fs::write(FIGURES, text).unwrap();
        return;
    }
    // In another profile only the growth counts.
    if cfg!(debug_assertions) {
        stays(&counted);
    }
}

fn grows_little(counted: &BTreeMap<String, u64>) {
    let pairs = counted.iter().filter_map(|(name, few)| {
        let kind = name.strip_suffix("_10")?;
        let (more, many) = counted
            .iter()
            .find(|(other, _)| other.strip_prefix(kind).is_some_and(|rest| matches!(rest, "_10000" | "_100000")))?;
        Some((more, *few as f64, *many as f64))
    });
    let pairs: Vec<_> = pairs.collect();
    assert_eq!(pairs.len(), 6, "five kinds of routes and the sessions");
    let grown: Vec<_> = pairs.iter().filter(|(_, few, many)| many / few > GROWTH).collect();
    assert!(grown.is_empty(), "more than {GROWTH} times: {grown:?}");
}

fn stays(counted: &BTreeMap<String, u64>) {
    let figures = std::fs::read_to_string(Path::new(FIGURES)).unwrap();
    let (made_by, figures) = figures.split_once('\n').unwrap();
    let same_compiler = made_by == compiler();
    let committed: BTreeMap<&str, u64> = figures
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, count)| (name, count.parse().unwrap()))
        .collect();
    assert!(counted.keys().map(String::as_str).eq(committed.keys().copied()), "the cases; REGENERATE=1");
    let mut changed = String::new();
    for (name, now) in counted {
        let ratio = *now as f64 / committed[name.as_str()] as f64;
        let within = ratio <= if same_compiler { 1.0 + tolerance(name) } else { 1.5 };
        if !within {
            writeln!(changed, "{name}: {now}, committed {}", committed[name.as_str()]).unwrap();
        }
    }
    assert!(changed.is_empty(), "{changed}meant? REGENERATE=1 cargo test --workspace --test instructions");
}
