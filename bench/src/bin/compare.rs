//! `make bench`: Portcullis beside a bare pass-through on the same engine and beside its peers, as answers per second of
//! CPU time of every process that takes part, in interleaved rounds of one run. Prints a table and writes JSON.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use portcullis_bench::load::contest::{self, Outcome, Plan};
use portcullis_bench::load::cpu::Trees;
use portcullis_bench::load::entrant::Name;
use portcullis_bench::load::generator::Sample;
use portcullis_bench::load::latency::{self, Pace};
use portcullis_bench::load::machine::Watch;
use portcullis_bench::load::nginx::LARGE;
use portcullis_bench::load::report::{self, Memory};
use portcullis_bench::load::roster::{Absent, Places, Roster};
use portcullis_bench::load::rows::{Row, all_rows, main_rows};
use portcullis_bench::load::system::Ground;
use serde_json::json;

/// The core of the system under test.
const SYSTEM_CPU: usize = 0;
/// The core of load generator and origin.
const LOAD_CPU: usize = 1;

const USAGE: &str =
    "there are --full yes, --pairs N, --milliseconds N, --row TEXT, --rounds N, --out FILE, --check yes, --ours yes";

struct Options {
    rows: Vec<Row>,
    pairs: usize,
    span: Duration,
    rates: Vec<u64>,
    latency_rounds: usize,
    latency_names: Option<Vec<Name>>,
    out: PathBuf,
    only_check: bool,
    peers: bool,
}

impl Options {
    fn main() -> Self {
        Self {
            rows: main_rows(),
            pairs: 20,
            span: Duration::from_millis(300),
            rates: vec![1000],
            latency_rounds: 3,
            latency_names: Some(vec![Name::Bare, Name::Checked, Name::Nginx, Name::NginxResponder, Name::EnvoyOwn]),
            out: PathBuf::from("target/bench.json"),
            only_check: false,
            peers: true,
        }
    }

    fn full() -> Self {
        let span = Duration::from_millis(500);
        let rates = vec![250, 500, 1000, 2000, 4000];
        Self { rows: all_rows(), pairs: 24, span, rates, latency_rounds: 5, latency_names: None, ..Self::main() }
    }

    fn read() -> Result<Self, Box<dyn Error>> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let mut options = if words.iter().any(|word| word == "--full") { Self::full() } else { Self::main() };
        for pair in words.chunks(2) {
            let [name, value] = pair else { return Err(USAGE.into()) };
            match name.as_str() {
                "--full" => {}
                "--check" => options.only_check = true,
                "--ours" => options.peers = false,
                "--pairs" => options.pairs = value.parse()?,
                "--milliseconds" => options.span = Duration::from_millis(value.parse()?),
                "--rounds" => options.latency_rounds = value.parse()?,
                "--row" => options.rows.retain(|row| row.name.contains(value.as_str())),
                "--out" => options.out = PathBuf::from(value),
                _ => return Err(format!("unknown option {name}; {USAGE}").into()),
            }
        }
        Ok(options)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_installed| "a TLS provider is installed already")?;
    // The core of the systems is theirs alone; the threads that come later inherit this.
    let own = std::process::id().to_string();
    Command::new("taskset").args(["-acp", &LOAD_CPU.to_string(), &own]).output()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(compare(&Options::read()?))
}

async fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let watch = Watch::begin();
    let folder = tempfile::tempdir()?;
    let ground = Ground::lay(folder.path())?;
    let own = std::env::current_exe()?;
    let programs = own.parent().ok_or("the program lies in no folder")?.to_owned();
    let plan = plan(options, &ground, &programs)?;
    let places = Places { ground, programs, system_cpu: SYSTEM_CPU, load_cpu: LOAD_CPU, peers: options.peers };
    let mut roster = Roster::assemble(places).await?;
    roster.renew().await;
    roster.check().await?;
    introduce(&roster, options);
    if options.only_check {
        return Ok(());
    }
    let idle = memory(&roster);
    let mut outcomes = Vec::new();
    for row in &options.rows {
        let outcome = contest::run(&mut roster, &plan, *row).await?;
        report::lines(&outcome).iter().for_each(|line| say(line));
        outcomes.push(outcome);
    }
    let latencies = latency::run(&mut roster, &plan, &pace(options, &outcomes)).await?;
    say("\nLatency at fixed rates, h1 TLS, 1 KiB");
    report::latency_lines(&latencies).iter().for_each(|line| say(line));
    let memories = memories(idle, &memory(&roster));
    say("\nMemory");
    report::memory_lines(&memories).iter().for_each(|line| say(line));
    let machine = watch.end();
    say(&format!("\nMachine: {}", serde_json::to_string_pretty(&machine)?));
    let document = json!({
        "machine": machine,
        "pairs": options.pairs,
        "milliseconds": options.span.as_millis(),
        "rows": outcomes.iter().map(report::json).collect::<Vec<_>>(),
        "latency": report::latency_json(&latencies),
        "memory": report::memory_json(&memories),
        "absent": report::absences(&roster.absent),
    });
    fs::write(&options.out, serde_json::to_string_pretty(&document)?)?;
    say(&format!("Samples: {}", options.out.display()));
    Ok(())
}

fn plan(options: &Options, ground: &Ground, programs: &std::path::Path) -> Result<Plan, Box<dyn Error>> {
    let upload = ground.folder.join("upload");
    fs::write(&upload, vec![b'u'; LARGE])?;
    Ok(Plan {
        pairs: options.pairs,
        span: options.span,
        warm_up: Duration::from_millis(100),
        drive: programs.join("drive"),
        upload,
        roots: ground.certificate.clone(),
        load_cpu: LOAD_CPU,
    })
}

fn introduce(roster: &Roster, options: &Options) {
    for entrant in &roster.entrants {
        say(&format!("here: {}", entrant.name.label()));
    }
    for Absent { name, reason } in &roster.absent {
        say(&format!("absent: {}: {reason}", name.label()));
    }
    say(&format!(
        "{} rounds, windows of {} ms; systems on core {SYSTEM_CPU}, load and origin on core {LOAD_CPU}",
        options.pairs,
        options.span.as_millis()
    ));
}

/// Who is asked at fixed rates, with the throughput that the first row over HTTP/1.1 showed.
fn pace(options: &Options, outcomes: &[Outcome]) -> Pace {
    let figures = outcomes.first().map(|outcome| outcome.figures.as_slice()).unwrap_or_default();
    let takes_part = |name: Name| {
        name != Name::BareAgain && options.latency_names.as_ref().is_none_or(|names| names.contains(&name))
    };
    let names = figures.iter().filter(|figures| takes_part(figures.name));
    let names = names.filter_map(|figures| Some((figures.name, figures.estimate(Sample::per_second)?.median)));
    Pace {
        rates: options.rates.clone(),
        rounds: options.latency_rounds,
        span: Duration::from_millis(1500),
        names: names.collect(),
    }
}

fn memory(roster: &Roster) -> Vec<(Name, f64)> {
    let mebibytes = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    let once = roster.entrants.iter().filter(|entrant| !matches!(entrant.name, Name::BareAgain | Name::Public));
    once.map(|entrant| (entrant.name, mebibytes(Trees::of(&entrant.roots).memory()))).collect()
}

fn memories(idle: Vec<(Name, f64)>, loaded: &[(Name, f64)]) -> Vec<Memory> {
    let after = |name| loaded.iter().find(|(of, _)| *of == name).map(|(_, size)| *size);
    idle.into_iter().filter_map(|(name, idle)| Some(Memory { name, idle, loaded: after(name)? })).collect()
}

fn say(line: &str) {
    use std::io::Write as _;
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}
