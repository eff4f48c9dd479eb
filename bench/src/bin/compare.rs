//! `make bench`: Portcullis beside a bare pass-through on the same engine and beside nginx, as requests per second of
//! CPU time, in interleaved pairs of one run. Prints a table and writes the samples as JSON.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_bench::load::cpu;
use portcullis_bench::load::edge::{CHECKED_HOST, Edge, PUBLIC_HOST, start_edge};
use portcullis_bench::load::generator::{self, Load};
use portcullis_bench::load::statistics::Estimate;
use portcullis_bench::load::system::{self, Ground, Running, free_address};
use serde_json::json;

/// The core of the system under test.
const SYSTEM_CPU: usize = 0;
/// The core of load generator and origin.
const LOAD_CPU: usize = 1;

/// A row of the table: what is compared with what.
struct Pair {
    name: &'static str,
    system: Target,
    baseline: Target,
}

/// One address of one system, and the processes it costs.
#[derive(Clone)]
struct Target {
    pid: u32,
    port: u16,
    host: &'static str,
    cookie: Option<String>,
}

struct Options {
    pairs: usize,
    seconds: u64,
    out: PathBuf,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<(), Box<dyn Error>> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_installed| "a TLS provider is installed already")?;
    let options = options()?;
    let folder = tempfile::tempdir()?;
    let ground = ground(folder.path().to_owned())?;
    let own = std::env::current_exe()?;
    let beside = own.parent().ok_or("the program lies in no folder")?;

    let _origin = system::origin(&ground, LOAD_CPU)?;
    let bare = bare(&ground, &beside.join("pass_through"))?;
    let edge = start_edge(&ground, &beside.join("portcullis"), SYSTEM_CPU).await?;
    let cookie = edge.session_cookie().await?;
    say(&format!(
        "resident memory of the idle all-in-one: {:.1} MiB",
        mebibytes(cpu::resident_bytes(edge.running.pid()))
    ));
    let nginx = [
        ("nginx plain", system::nginx_plain(&ground, SYSTEM_CPU)),
        ("nginx + auth_request", system::nginx_auth_request(&ground, SYSTEM_CPU)),
    ];
    let pairs = pairs(&bare, &edge, &cookie, &nginx);

    say(&format!(
        "{} pairs of {} s each; system on core {SYSTEM_CPU}, load and origin on core {LOAD_CPU}",
        options.pairs, options.seconds
    ));
    let mut rows = Vec::new();
    for http2 in [false, true] {
        for pair in &pairs {
            rows.push(measure(pair, http2, &options)?);
        }
    }
    fs::write(&options.out, serde_json::to_string_pretty(&json!({ "rows": rows }))?)?;
    say(&format!("samples: {}", options.out.display()));
    Ok(())
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options { pairs: 20, seconds: 2, out: PathBuf::from("target/bench.json") };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--pairs" => options.pairs = value.parse()?,
            "--seconds" => options.seconds = value.parse()?,
            "--out" => options.out = PathBuf::from(value),
            _ => return Err(format!("unknown option {name}; there are --pairs, --seconds, --out").into()),
        }
    }
    Ok(options)
}

fn ground(folder: PathBuf) -> Result<Ground, Box<dyn Error>> {
    let names = ["auth.localhost", PUBLIC_HOST, CHECKED_HOST, "localhost"].map(str::to_owned);
    let certified = rcgen::generate_simple_self_signed(names)?;
    let (certificate, key) = (folder.join("tls.pem"), folder.join("tls.key"));
    fs::write(&certificate, certified.cert.pem())?;
    fs::write(&key, certified.signing_key.serialize_pem())?;
    Ok(Ground { folder, certificate, key, origin: free_address()? })
}

fn bare(ground: &Ground, binary: &std::path::Path) -> std::io::Result<Running> {
    let address = free_address()?;
    let texts = [
        &address.to_string(),
        &ground.certificate.display().to_string(),
        &ground.key.display().to_string(),
        &ground.origin.to_string(),
    ]
    .map(|text: &String| text.clone());
    system::start(SYSTEM_CPU, binary, &texts, address)
}

fn pairs(bare: &Running, edge: &Edge, cookie: &str, nginx: &[(&'static str, std::io::Result<Running>)]) -> Vec<Pair> {
    let target = |running: &Running, host, cookie: Option<&str>| Target {
        pid: running.pid(),
        port: running.address.port(),
        host,
        cookie: cookie.map(str::to_owned),
    };
    let checked = target(&edge.running, CHECKED_HOST, Some(cookie));
    let mut pairs = vec![
        Pair {
            name: "portcullis, public route / bare Pingora",
            system: target(&edge.running, PUBLIC_HOST, None),
            baseline: target(bare, PUBLIC_HOST, None),
        },
        Pair {
            name: "portcullis, everything on / bare Pingora",
            system: checked.clone(),
            baseline: target(bare, PUBLIC_HOST, Some(cookie)),
        },
    ];
    for (name, running) in nginx {
        match running {
            Ok(running) => pairs.push(Pair {
                name: if *name == "nginx plain" {
                    "bare Pingora / nginx plain"
                } else {
                    "portcullis, everything on / nginx + auth_request"
                },
                system: if *name == "nginx plain" { target(bare, PUBLIC_HOST, None) } else { checked.clone() },
                baseline: target(running, PUBLIC_HOST, Some(cookie)),
            }),
            Err(error) => say(&format!("absent: {name}: {error}")),
        }
    }
    pairs
}

/// Runs the pairs of one row, alternating which side goes first, and prints it.
fn measure(pair: &Pair, http2: bool, options: &Options) -> Result<serde_json::Value, Box<dyn Error>> {
    let (mut ratios, mut rates, mut bad) = (Vec::new(), Vec::new(), 0);
    for round in 0..options.pairs {
        let first_is_system = round % 2 == 0;
        let (first, second) =
            if first_is_system { (&pair.system, &pair.baseline) } else { (&pair.baseline, &pair.system) };
        let (one, two) = (sample(first, http2, options)?, sample(second, http2, options)?);
        let (system, baseline) = if first_is_system { (one, two) } else { (two, one) };
        ratios.push(system.rate / baseline.rate);
        rates.push(system.rate);
        bad += system.bad + baseline.bad;
    }
    let protocol = if http2 { "h2" } else { "h1" };
    let ratio = Estimate::of(ratios.clone()).ok_or("no samples")?;
    let rate = Estimate::of(rates).ok_or("no samples")?;
    let verdict = if ratio.is_clear() { format!("{:.3}", ratio.median) } else { format!("~1 ({:.3})", ratio.median) };
    say(&format!(
        "{protocol} TLS  {:<48} {verdict:>10}  [{:.3}, {:.3}]  {:>8.0} requests per CPU-second, {bad} failed",
        pair.name, ratio.low, ratio.high, rate.median
    ));
    Ok(
        json!({ "protocol": protocol, "pair": pair.name, "median": ratio.median, "low": ratio.low, "high": ratio.high, "clear": ratio.is_clear(), "requests_per_cpu_second": rate.median, "failed": bad, "ratios": ratios }),
    )
}

struct Sample {
    rate: f64,
    bad: u64,
}

fn sample(target: &Target, http2: bool, options: &Options) -> Result<Sample, Box<dyn Error>> {
    let Target { pid, port, host, cookie } = target;
    let load = Load {
        url: format!("https://{host}:{port}/page"),
        connect_to: format!("127.0.0.1:{port}"),
        headers: cookie.iter().map(|cookie| ("cookie".to_owned(), cookie.clone())).collect(),
        http2,
        connections: 32,
        span: Duration::from_secs(options.seconds),
    };
    let before = cpu::of_trees(&[*pid]);
    let outcome = generator::run(&load, LOAD_CPU)?;
    let used = cpu::of_trees(&[*pid]).saturating_sub(before).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^53")]
    Ok(Sample { rate: outcome.good as f64 / used.max(0.01), bad: outcome.bad })
}

fn mebibytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "memory sizes are far below 2^53")]
    let bytes = bytes as f64;
    bytes / (1024.0 * 1024.0)
}

fn say(line: &str) {
    use std::io::Write as _;
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}
