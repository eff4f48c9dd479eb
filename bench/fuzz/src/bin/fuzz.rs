//! `fuzz [--seconds N] [--seed N] [TARGET…]` searches in each target; `fuzz --reproduce TARGET FILE` tries one input.
//!
//! An input that breaks a promise is written to `bench/fuzz/findings/`, and the command that tries it again is
//! printed. The input under way is always in `bench/fuzz/findings/TARGET.current`, for what ends the process itself:
//! a stack that overflows, or our patience with an input that takes too long. The exit status is 0 only if nothing
//! was found.

#![expect(clippy::print_stdout, reason = "a command that reports on standard output")]

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use portcullis_fuzz::{Search, TARGETS, Target, replay};
use portcullis_identity::{Clock as _, SystemClock};

/// How long one input may take, in the build that tests use on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(20);

struct Order {
    targets: Vec<&'static Target>,
    time: Duration,
    seed: u64,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--reproduce", name, file] => reproduce(name, Path::new(file)),
        ref words => order(words).and_then(|order| search_all(&order)),
    };
    match outcome {
        Ok(status) => status,
        Err(error) => {
            println!("fuzz: {error}");
            ExitCode::from(2)
        }
    }
}

fn order(words: &[&str]) -> Result<Order, String> {
    let now = SystemClock.now().unix_millis().unsigned_abs();
    let mut order = Order { targets: Vec::new(), time: Duration::from_secs(60), seed: now };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number =
            || words.next().and_then(|number| number.parse().ok()).ok_or_else(|| format!("{word} takes a number"));
        match *word {
            "--seconds" => order.time = Duration::from_secs(number()?),
            "--seed" => order.seed = number()?,
            name => order.targets.push(target(name)?),
        }
    }
    if order.targets.is_empty() {
        order.targets = TARGETS.iter().collect();
    }
    Ok(order)
}

fn target(name: &str) -> Result<&'static Target, String> {
    let known = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .ok_or_else(|| format!("no target `{name}`; there are {}", known()))
}

fn search_all(order: &Order) -> Result<ExitCode, String> {
    let mut status = ExitCode::SUCCESS;
    for target in &order.targets {
        if let Some(text) = search(target, order).map_err(|error| error.to_string())? {
            println!("  {text}");
            status = ExitCode::FAILURE;
        }
    }
    Ok(status)
}

/// Searches until the time is over or something is found; says what.
fn search(target: &'static Target, order: &Order) -> io::Result<Option<String>> {
    let Order { targets: _, time, seed } = order;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("findings");
    fs::create_dir_all(&folder)?;
    let current = folder.join(format!("{}.current", target.name));
    println!("{}: {time:?}, --seed {seed}", target.name);
    let tried = Arc::new(AtomicU64::new(0));
    let (_stop, stopped) = channel::<()>();
    let (watched, again) = (Arc::clone(&tried), again(target, &current));
    // Ends with this function, whose end of the channel it waits for.
    thread::spawn(move || {
        let mut before = u64::MAX;
        while stopped.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let now = watched.load(Ordering::Relaxed);
            if now == before {
                println!("  no answer for {PATIENCE:?}: {again}");
                std::process::abort();
            }
            before = now;
        }
    });
    let mut search = Search::new(target, *seed);
    let mut under_way = File::create(&current)?;
    let start = SystemClock.now();
    while SystemClock.now().since(start) < *time {
        let input = search.draw();
        under_way.rewind()?;
        under_way.write_all(&input)?;
        under_way.set_len(u64::try_from(input.len()).unwrap_or(u64::MAX))?;
        let number = tried.fetch_add(1, Ordering::Relaxed);
        if let Err(text) = search.attempt(&input) {
            let file: PathBuf = folder.join(format!("{}-{seed}-{number}", target.name));
            fs::rename(&current, &file)?;
            println!("  found with input {number}: {}", self::again(target, &file));
            return Ok(Some(text));
        }
    }
    fs::remove_file(&current)?;
    println!("  {} inputs, {} shapes, nothing found", tried.load(Ordering::Relaxed), search.shapes());
    Ok(None)
}

/// The command that tries an input again.
fn again(target: &Target, file: &Path) -> String {
    format!("cargo run -p portcullis-fuzz -- --reproduce {} {}", target.name, file.display())
}

fn reproduce(name: &str, file: &Path) -> Result<ExitCode, String> {
    let input = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(match replay(target(name)?, &input) {
        Ok(shape) => {
            println!("every promise holds: {shape:?}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            println!("{text}");
            ExitCode::FAILURE
        }
    })
}
