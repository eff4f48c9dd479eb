//! `make bench-instructions`: what a request costs in instructions of the process, bare pass-through beside Portcullis with
//! everything on, under callgrind: the same on every machine, however busy it is. The kernel's share is not in it.
//! `counted [FOLDER]` leaves callgrind's dumps in FOLDER for `callgrind_annotate`.

use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portcullis_bench::load::edge::start_edge;
use portcullis_bench::load::entrant::{Credential, Entrant, Name};
use portcullis_bench::load::nginx;
use portcullis_bench::load::system::{Ground, PUBLIC_HOST, Running, free_address, start};

/// Requests before the counted ones: connections, sessions and assertions are there then.
const WARM_UP: u32 = 1000;
/// Requests that are counted.
const COUNTED: u32 = 4000;

fn main() -> Result<(), Box<dyn Error>> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_installed| "a TLS provider is installed already")?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(count())
}

async fn count() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let ground = Ground::lay(folder.path())?;
    let dumps = std::env::args().nth(1).map_or_else(|| folder.path().join("dumps"), PathBuf::from);
    fs::create_dir_all(&dumps)?;
    let own = std::env::current_exe()?;
    let program = |name: &str| own.with_file_name(name);
    let _origin = nginx::origin(&ground, 1)?;

    let edge = start_edge(&ground, &under_callgrind(&ground, &dumps, &program("portcullis"))?, 0).await?;
    let mut checked = Entrant::new(Name::Checked, &[&edge.running], Credential::Session("/page"));
    let authority = fs::read_to_string(&ground.certificate)?;
    checked.headers = vec![checked.sign_in(&authority, "/page").await?];

    let (bare_running, mut bare) = bare(&ground, &under_callgrind(&ground, &dumps, &program("pass_through"))?)?;
    bare.host = PUBLIC_HOST;
    bare.headers = vec![("cookie".to_owned(), format!("visit={}", "v".repeat(90)))];

    for http2 in [false, true] {
        let [least, most] = [(&bare, bare_running.pid()), (&checked, edge.running.pid())]
            .map(|(entrant, pid)| instructions(entrant, pid, http2, &dumps));
        let (least, most) = (least?, most?);
        say(&format!(
            "{}: {} {least}, {} {most} instructions a request; ratio {:.2}",
            if http2 { "h2 TLS" } else { "h1 TLS" },
            bare.name.label(),
            checked.name.label(),
            least as f64 / most as f64
        ));
    }
    Ok(())
}

/// A script that runs `program` under callgrind.
fn under_callgrind(ground: &Ground, dumps: &Path, program: &Path) -> io::Result<PathBuf> {
    let name = program.file_name().unwrap_or_default();
    let script = ground.folder.join("counted").join(name);
    fs::create_dir_all(ground.folder.join("counted"))?;
    let text = format!(
        "#!/bin/sh\nexec valgrind --tool=callgrind --callgrind-out-file={}/{}.%p {} \"$@\"\n",
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

/// Instructions a request.
fn instructions(entrant: &Entrant, pid: u32, http2: bool, dumps: &Path) -> Result<u64, Box<dyn Error>> {
    requests(entrant, http2, WARM_UP)?;
    control("--zero", pid)?;
    requests(entrant, http2, COUNTED)?;
    let label = format!("--dump={}", if http2 { "h2" } else { "h1" });
    let before = files(dumps, pid)?;
    control(&label, pid)?;
    let dump = files(dumps, pid)?.into_iter().find(|path| !before.contains(path)).ok_or("callgrind wrote no dump")?;
    let text = fs::read_to_string(&dump)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    Ok(total.ok_or("a dump without a total")?.trim().parse::<u64>()? / u64::from(COUNTED))
}

fn files(dumps: &Path, pid: u32) -> io::Result<Vec<PathBuf>> {
    let of_process = format!(".{pid}.");
    let paths = fs::read_dir(dumps)?.map(|entry| entry.map(|entry| entry.path()));
    let paths: Vec<PathBuf> = paths.collect::<io::Result<_>>()?;
    Ok(paths.into_iter().filter(|path| path.to_string_lossy().contains(&of_process)).collect())
}

fn requests(entrant: &Entrant, http2: bool, count: u32) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new("h2load");
    command.args(["-t", "1", "-c", "8", "-n", &count.to_string(), "--connect-to", &entrant.tls.to_string()]);
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
