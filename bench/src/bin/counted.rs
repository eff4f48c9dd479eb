//! `make bench-instructions`: what a request costs in instructions of the process, bare pass-through beside Portcullis with
//! everything on, under callgrind: the same on every machine, however busy it is. The kernel's share is not in it.
//!
//! Callgrind plays a processor's caches too: first-level ones of 32 KiB, and a second level of 512 KiB or as `--cache KIB`
//! says. What that has not is a fetch from further away: a line of 64 bytes, of the program or of data.
//! `--dumps FOLDER` leaves callgrind's dumps there for `callgrind_annotate`.

use std::error::Error;
use std::fs;
use std::io;
use std::ops::Sub;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portcullis_bench::load::edge::start_edge;
use portcullis_bench::load::entrant::{Credential, Entrant, Name};
use portcullis_bench::load::nginx;
use portcullis_bench::load::system::{Ground, PUBLIC_HOST, Running, free_address, start};
use portcullis_bench::options::{Options, numbers};

/// Requests before the counted ones: sessions and assertions are there then.
const WARM_UP: u32 = 1000;
/// Requests that are counted.
const COUNTED: u32 = 4000;
/// Connections that take turns, as in the yardstick. Each is made anew for each count, with one request of its own, which is
/// counted alone and taken off.
const CONNECTIONS: u32 = 32;
/// KiB of second-level cache, unless `--cache` says otherwise: what many servers' cores have, and those of the report.
const CACHE: &str = "512";

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    instructions: u64,
    /// Lines that the second level had not, of the program and of data, to read and to write.
    fetches: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_installed| "a TLS provider is installed already")?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(count())
}

async fn count() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let ground = Ground::lay(folder.path())?;
    let options = Options::read(&["dumps", "cache"])?;
    let dumps = options.get("dumps").map_or_else(|| folder.path().join("dumps"), PathBuf::from);
    fs::create_dir_all(&dumps)?;
    let cache: Vec<u32> = numbers(options.get("cache").unwrap_or(CACHE))?;
    let &[cache] = &*cache else { return Err("--cache wants one number of KiB".into()) };
    let simulated = |program: &Path| under_callgrind(&ground, &dumps, program, cache);
    let own = std::env::current_exe()?;
    let program = |name: &str| own.with_file_name(name);
    let _origin = nginx::origin(&ground, 1)?;

    let edge = start_edge(&ground, &simulated(&program("portcullis"))?, 0).await?;
    let mut checked = Entrant::new(Name::Checked, &[&edge.running], Credential::Session("/page"));
    let authority = fs::read_to_string(&ground.certificate)?;
    checked.headers = vec![checked.sign_in(&authority, "/page").await?];

    let (bare_running, mut bare) = bare(&ground, &simulated(&program("pass_through"))?)?;
    bare.host = PUBLIC_HOST;
    bare.headers = vec![("cookie".to_owned(), format!("visit={}", "v".repeat(90)))];

    for http2 in [false, true] {
        let [least, most] = [(&bare, bare_running.pid()), (&checked, edge.running.pid())]
            .map(|(entrant, pid)| a_request(entrant, pid, http2, &dumps));
        let (least, most) = (least?, most?);
        say(&format!(
            "{}: {} {}, {} {} instructions a request, ratio {:.2}; {} and {} fetches beyond {cache} KiB of cache",
            if http2 { "h2 TLS" } else { "h1 TLS" },
            bare.name.label(),
            least.instructions,
            checked.name.label(),
            most.instructions,
            least.instructions as f64 / most.instructions as f64,
            least.fetches,
            most.fetches,
        ));
    }
    Ok(())
}

/// A script that runs `program` under callgrind, with so many KiB of second-level cache.
fn under_callgrind(ground: &Ground, dumps: &Path, program: &Path, cache: u32) -> io::Result<PathBuf> {
    let name = program.file_name().unwrap_or_default();
    let script = ground.folder.join("counted").join(name);
    fs::create_dir_all(ground.folder.join("counted"))?;
    let text = format!(
        "#!/bin/sh\nexec valgrind --tool=callgrind --cache-sim=yes --I1=32768,8,64 --D1=32768,8,64 --LL={},8,64 \
         --callgrind-out-file={}/{}.%p {} \"$@\"\n",
        u64::from(cache) * 1024,
        dumps.display(),
        name.display(),
        program.display()
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

fn bare(ground: &Ground, program: &Path) -> io::Result<(Running, Entrant)> {
    let address = free_address()?;
    let words = [
        address.to_string(),
        ground.certificate.display().to_string(),
        ground.key.display().to_string(),
        ground.origin.to_string(),
    ];
    let running = start(0, program, &words, address)?;
    let entrant = Entrant::new(Name::Bare, &[&running], Credential::Nothing);
    Ok((running, entrant))
}

/// What a request costs on a connection that is there.
fn a_request(entrant: &Entrant, pid: u32, http2: bool, dumps: &Path) -> Result<Counts, Box<dyn Error>> {
    requests(entrant, http2, WARM_UP)?;
    let label = if http2 { "h2" } else { "h1" };
    let counted = |count: u32, label: &str| -> Result<Counts, Box<dyn Error>> {
        control("--zero", pid)?;
        requests(entrant, http2, count)?;
        let before = files(dumps, pid)?;
        control(&format!("--dump={label}"), pid)?;
        let dump =
            files(dumps, pid)?.into_iter().find(|path| !before.contains(path)).ok_or("callgrind wrote no dump")?;
        Counts::of(&fs::read_to_string(&dump)?)
    };
    let connections = counted(CONNECTIONS, &format!("{label}-connections"))?;
    let all = counted(CONNECTIONS + COUNTED, label)?;
    let Counts { instructions, fetches } = all - connections;
    Ok(Counts { instructions: instructions / u64::from(COUNTED), fetches: fetches / u64::from(COUNTED) })
}

impl Counts {
    /// The totals of a dump.
    fn of(dump: &str) -> Result<Self, Box<dyn Error>> {
        let line = |name: &str| dump.lines().find_map(|line| line.strip_prefix(name));
        let events = line("events: ").ok_or("a dump without events")?;
        let totals = line("totals: ").or_else(|| line("summary: ")).ok_or("a dump without a total")?;
        let total = |wanted: &str| -> Result<u64, Box<dyn Error>> {
            let place = events.split_whitespace().position(|event| event == wanted).ok_or("an event is missing")?;
            // Callgrind leaves zeros at the end of a line out.
            Ok(totals.split_whitespace().nth(place).unwrap_or("0").parse()?)
        };
        Ok(Self { instructions: total("Ir")?, fetches: total("ILmr")? + total("DLmr")? + total("DLmw")? })
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        Self {
            instructions: self.instructions.saturating_sub(less.instructions),
            fetches: self.fetches.saturating_sub(less.fetches),
        }
    }
}

fn files(dumps: &Path, pid: u32) -> io::Result<Vec<PathBuf>> {
    let of_process = format!(".{pid}.");
    let paths = fs::read_dir(dumps)?.map(|entry| entry.map(|entry| entry.path()));
    let paths: Vec<PathBuf> = paths.collect::<io::Result<_>>()?;
    Ok(paths.into_iter().filter(|path| path.to_string_lossy().contains(&of_process)).collect())
}

fn requests(entrant: &Entrant, http2: bool, count: u32) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new("h2load");
    command.args(["-t", "1", "-c", &CONNECTIONS.to_string(), "-n", &count.to_string()]);
    command.args(["--connect-to", &entrant.tls.to_string()]);
    command.args(if http2 { ["-m", "8"].as_slice() } else { ["--h1", "-m", "1"].as_slice() });
    for (name, value) in &entrant.headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let output = command.arg(format!("https://{}:{}/page", entrant.host, entrant.tls.port())).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains(&format!("status codes: {count} 2xx")) { Ok(()) } else { Err(text.into_owned().into()) }
}

fn control(order: &str, pid: u32) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new("callgrind_control");
    let status = command.args([order, &pid.to_string()]).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("callgrind_control {order} {pid}: {status}").into()) }
}

fn say(line: &str) {
    use std::io::Write as _;
    drop(writeln!(io::stdout().lock(), "{line}"));
}
