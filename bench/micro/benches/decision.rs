//! What the decision costs, step by step: time and allocations of each.

#![expect(clippy::expect_used, clippy::missing_docs_in_private_items, reason = "a yardstick; the names say it")]

use divan::{AllocProfiler, Bencher, black_box};
use mimalloc::MiMalloc;
use portcullis_gate::Snapshot;
use portcullis_micro::policies::{self, TEN};
use portcullis_micro::requests::{self, Kind, REQUESTS, Scene};
use portcullis_policy::{compile_policy, yaml};

// The product's allocator, counted.
#[global_allocator]
static ALLOCATOR: AllocProfiler<MiMalloc> = AllocProfiler::new(MiMalloc);

fn main() {
    divan::main();
}

/// Ten criteria, a subject with 20 claims and 150 groups.
#[divan::bench]
fn decide_ten_criteria(bencher: Bencher<'_, '_>) {
    let (program, subject) = (policies::compiled(TEN), policies::subject());
    let facts = policies::facts(Some(&subject));
    bencher.bench_local(|| black_box(&program).decide(black_box(&facts)));
}

#[divan::bench]
fn decide_ten_criteria_of_nobody(bencher: Bencher<'_, '_>) {
    let program = policies::compiled(TEN);
    let facts = policies::facts(None);
    bencher.bench_local(|| black_box(&program).decide(black_box(&facts)));
}

fn examples() -> Vec<String> {
    policies::of_the_examples().into_iter().map(|(name, _)| name).collect()
}

#[divan::bench(args = examples())]
fn decide_example(bencher: Bencher<'_, '_>, name: &str) {
    let (_, program) = policies::of_the_examples().into_iter().find(|(own, _)| own == name).expect("an example");
    let subject = policies::subject();
    let facts = policies::facts(Some(&subject));
    bencher.bench_local(|| black_box(&program).decide(black_box(&facts)));
}

#[divan::bench(args = [10_000], sample_count = 10)]
fn parse_and_compile_different_policies(bencher: Bencher<'_, '_>, count: usize) {
    let texts = policies::different(count);
    bencher.bench_local(|| texts.iter().map(|text| policies::compiled(text)).collect::<Vec<_>>());
}

#[divan::bench(args = [10_000], sample_count = 10)]
fn compile_different_policies(bencher: Bencher<'_, '_>, count: usize) {
    let trees: Vec<_> = policies::different(count).iter().map(|text| yaml::parse(text).expect("YAML")).collect();
    bencher.bench_local(|| trees.iter().map(|tree| compile_policy(tree).expect("a policy")).collect::<Vec<_>>());
}

#[divan::bench(args = [1_000, 10_000], sample_count = 10)]
fn build_snapshot(bencher: Bencher<'_, '_>, routes: usize) {
    let config = requests::config(Kind::Prefix, routes);
    bencher.bench_local(|| Snapshot::build(&config, None).expect("a snapshot"));
}

/// A scene of 1 000 routes and 1 000 sessions, and numbers of requests.
fn scene(kind: Kind) -> (Scene, impl FnMut() -> usize) {
    let mut number = 0_usize;
    let next = move || {
        number = number.wrapping_add(1);
        number
    };
    (Scene::new(kind, 1_000, 1_000), next)
}

#[divan::bench(sample_size = 64, sample_count = 1000)]
fn read(bencher: Bencher<'_, '_>) {
    let (scene, mut next) = scene(Kind::Prefix);
    bencher.bench_local(|| scene.read(next()));
}

#[divan::bench(sample_size = 64, sample_count = 1000)]
fn find_checks_one_credential(bencher: Bencher<'_, '_>) {
    let (scene, mut next) = scene(Kind::Prefix);
    let view = scene.read(0);
    bencher.bench_local(|| scene.find(next(), black_box(&view)));
}

#[divan::bench(sample_size = 64, sample_count = 1000)]
fn resolve_hit(bencher: Bencher<'_, '_>) {
    let (scene, mut next) = scene(Kind::Prefix);
    let keys: Vec<_> = (0..REQUESTS).map(|number| scene.key(number)).collect();
    bencher.bench_local(|| scene.resolve(black_box(keys.get(next() % REQUESTS).expect("a key"))));
}

#[divan::bench(args = Kind::ALL, sample_size = 64, sample_count = 1000)]
fn admit(bencher: Bencher<'_, '_>, kind: &Kind) {
    let (scene, mut next) = scene(*kind);
    let presented = portcullis_gate::Presented::Session(std::sync::Arc::new(requests::session("kim@corp.test")));
    let views: Vec<_> = (0..REQUESTS).map(|number| scene.read(number)).collect();
    bencher.bench_local(|| scene.admit(views.get(next() % REQUESTS).expect("a view"), &presented));
}

#[divan::bench(args = Kind::ALL, sample_size = 64, sample_count = 1000)]
fn find_resolve_admit(bencher: Bencher<'_, '_>, kind: &Kind) {
    let (scene, mut next) = scene(*kind);
    let views: Vec<_> = (0..REQUESTS).map(|number| scene.read(number)).collect();
    bencher.bench_local(|| {
        let number = next() % REQUESTS;
        scene.judge(number, views.get(number).expect("a view"))
    });
}

#[divan::bench(args = Kind::ALL, sample_size = 64, sample_count = 1000)]
fn read_find_resolve_admit(bencher: Bencher<'_, '_>, kind: &Kind) {
    let (scene, mut next) = scene(*kind);
    bencher.bench_local(|| scene.passes(next()));
}

#[divan::bench(sample_size = 64, sample_count = 1000)]
fn assertion_kept(bencher: Bencher<'_, '_>) {
    let (scene, _) = scene(Kind::Prefix);
    let session = requests::session("kim@corp.test");
    bencher.bench_local(|| scene.assertion(black_box(&session)));
}

#[divan::bench(sample_size = 64, sample_count = 1000)]
fn assertion_signed(bencher: Bencher<'_, '_>) {
    let (scene, _) = scene(Kind::Prefix);
    let session = requests::session("kim@corp.test");
    bencher.bench_local(|| scene.fresh_assertion(black_box(&session)));
}
