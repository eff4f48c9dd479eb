//! The slow rivers at scale. `scale --out FILE [--binary PORTCULLIS] [--browsers 1,8] [--writers 1,64]
//! [--replicas 10] [--rounds 200] [--sessions 1000000] [--seconds 10]`; an empty list leaves its part out.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_bench::load::machine::Watch;
use portcullis_bench::options::{Options, numbers};
use portcullis_bench::scale::{million, sign_ins, stream, writes};
use portcullis_bench::series::publish;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| "a TLS provider is installed")?;
    let options =
        Options::read(&["out", "binary", "browsers", "writers", "replicas", "rounds", "sessions", "seconds"])?;
    let out = PathBuf::from(options.get("out").unwrap_or("target/bench-scale.json"));
    let binary = options.binary()?;
    let span = Duration::from_secs(options.get("seconds").unwrap_or("10").parse()?);
    let watch = Watch::begin();
    let mut series = Vec::new();
    let browsers = numbers(options.get("browsers").unwrap_or("1,8,32"))?;
    if !browsers.is_empty() {
        series.extend(sign_ins::measure(&binary, &browsers, span).await?);
    }
    let writers = numbers(options.get("writers").unwrap_or("1,16,64,256"))?;
    if !writers.is_empty() {
        series.extend(writes::measure(&binary, &writers, span).await?);
    }
    let rounds = options.get("rounds").unwrap_or("200").parse()?;
    for replicas in numbers(options.get("replicas").unwrap_or("10"))? {
        series.extend(stream::measure(&binary, replicas, rounds).await?);
    }
    let counts = numbers(options.get("sessions").unwrap_or("1000000"))?;
    if !counts.is_empty() {
        series.extend(million::measure(&binary, &counts).await?);
    }
    Ok(publish(&series, &watch.end(), &out)?)
}
