//! The two long steps of a reload by themselves: reading a configuration of many routes, each with a policy of its own,
//! and building its snapshot beside the one before. `reload [ROUTES [ROUNDS]]` prints the milliseconds of each round.

#![expect(clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a yardstick")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use portcullis_config::ProcessEnvironment;
use portcullis_gate::Snapshot;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What `portcullis-bench growth` writes, where only the marked half of each policy changes from round to round.
fn text(routes: usize, round: usize) -> String {
    let mut text = String::from(
        "sign_in: {host: auth.test}\nproviders:\n  demo: {issuer: \"http://127.0.0.1:9\", client_id: portcullis, client_secret: {file: client-secret}}\nroutes:\n",
    );
    for number in 0..routes {
        writeln!(
            text,
            "- from: https://r{number}.corp.example:8443\n  to: http://127.0.0.1:9\n  pass_identity_headers: true\n  policy:\n  - allow:\n      or:\n      - domain: corp.example\n      - email: nobody-{round}-{number}@partner.example"
        )
        .expect("a String takes everything");
    }
    text
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let routes = arguments.next().unwrap_or(10_000);
    let rounds = arguments.next().unwrap_or(7);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("client-secret"), "a secret\n").expect("a file");
    let file = folder.path().join("portcullis.yaml");
    let mut previous: Option<Arc<Snapshot>> = None;
    for round in 0..rounds {
        std::fs::write(&file, text(routes, round)).expect("a file");
        let (loaded, load) =
            timed(|| portcullis_config::load(Path::new(&file), &ProcessEnvironment).expect("it loads"));
        let (snapshot, build) = timed(|| Snapshot::build(&loaded.config, previous.as_deref()).expect("it builds"));
        let (_, release) = timed(|| previous.replace(Arc::new(snapshot)));
        println!("load {load:.1} ms, build {build:.1} ms, release {release:.1} ms");
    }
}

fn timed<T>(step: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let made = step();
    (made, began.elapsed().as_secs_f64() * 1000.0)
}
