//! What grows with routes, sessions and connections. `growth --out FILE [--binary PORTCULLIS] [--routes 10,100]
//! [--sessions 10,100000] [--connections 2000] [--seconds 9]`; an empty list leaves its part out.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_bench::growth::{connections, routes, sessions};
use portcullis_bench::load::machine::Watch;
use portcullis_bench::options::{Options, numbers};
use portcullis_bench::series::publish;

// The same as in the program under measurement: the sessions are held here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| "a TLS provider is installed")?;
    let options = Options::read(&["out", "binary", "routes", "sessions", "connections", "seconds", "part-sessions"])?;
    if let Some(count) = options.get("part-sessions") {
        use std::io::Write as _;
        return Ok(writeln!(std::io::stdout().lock(), "{}", sessions::part(count.parse()?)?)?);
    }
    let out = PathBuf::from(options.get("out").unwrap_or("target/bench-growth.json"));
    let binary = options.binary()?;
    let span = Duration::from_secs(options.get("seconds").unwrap_or("9").parse()?);
    let watch = Watch::begin();
    let mut series = Vec::new();
    let counts = numbers(options.get("routes").unwrap_or("10,100,1000,10000"))?;
    if !counts.is_empty() {
        series.extend(routes::measure(&binary, &counts, span).await?);
    }
    for count in numbers(options.get("connections").unwrap_or("2000"))? {
        series.extend(connections::measure(&binary, count).await?);
    }
    let counts = numbers(options.get("sessions").unwrap_or("10,100000,1000000"))?;
    if !counts.is_empty() {
        series.extend(sessions::measure(&counts).await?);
    }
    Ok(publish(&series, &watch.end(), &out)?)
}
