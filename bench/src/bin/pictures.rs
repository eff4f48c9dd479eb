//! Draws the pictures of docs/performance.md from what the yardstick wrote: `pictures FOLDER_OF_JSON FOLDER_OF_SVG`.
//! What was not measured is not drawn, and a picture of it that lies there stays.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_bench::picture::{bars, curves, latency, ratios};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to] = words.as_slice() else { return Err("pictures FOLDER_OF_JSON FOLDER_OF_SVG".into()) };
    fs::create_dir_all(to)?;
    if let Some(bench) = read(&from.join("bench.json"))? {
        draw(to, "requests", bars::requests(&bench))?;
        draw(to, "peers", ratios::peers(&bench))?;
        draw(to, "rows", ratios::rows(&bench))?;
        draw(to, "latency", latency::latency(&bench))?;
        draw(to, "memory", bars::memory(&bench))?;
    }
    for (name, title) in [("growth", "Growth: what more routes and sessions cost"), ("scale", "Scale: the slow rivers")]
    {
        if let Some(document) = read(&from.join(format!("bench-{name}.json")))? {
            draw(to, name, curves::curves(&document, title))?;
        }
    }
    Ok(())
}

/// A JSON document; `None` if it was not made.
fn read(file: &Path) -> Result<Option<Value>, Box<dyn Error>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn draw(folder: &Path, name: &str, picture: Option<String>) -> std::io::Result<()> {
    match picture {
        Some(svg) => fs::write(folder.join(format!("{name}.svg")), svg),
        None => Ok(()),
    }
}
