//! Does each step of a decision a fixed number of times, for `tests/instructions.rs` to count under callgrind.
//!
//! Prints the name of each case when it is prepared; callgrind counts inside of `measured` only, and writes a dump
//! at each call of `counted`. Neither holds a closure, whose name would match too. An argument picks cases by the
//! beginning of their kind: `decide`, `exact_host`, …, `steps`, `resolve`.

#![expect(clippy::print_stdout, reason = "the names of the cases, in the order of the dumps")]

use std::hint::black_box;
use std::sync::Arc;

use portcullis_gate::{Presented, RequestView};
use portcullis_identity::{Session, SessionKey, Subject};
use portcullis_micro::policies;
use portcullis_micro::requests::{Kind, Scene, session};
use portcullis_policy::Program;

/// How often each case is done while it is counted.
const TIMES: usize = 256;

/// One thing to do, and all it needs.
enum Case<'a> {
    Decide(&'a Program, Option<&'a Subject>),
    Admit(&'a Scene, &'a [RequestView<'a>], &'a Presented),
    Judge(&'a Scene, &'a [RequestView<'a>]),
    Read(&'a Scene),
    Resolve(&'a Scene, &'a [SessionKey]),
    Assertion(&'a Scene, &'a Session),
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let (few, many_routes, many_sessions) = (10, 10_000, 100_000);
    if "decide".starts_with(&wanted) {
        let (program, subject) = (policies::compiled(policies::TEN), policies::subject());
        count("decide_ten_criteria", &Case::Decide(&program, Some(&subject)));
        count("decide_ten_criteria_of_nobody", &Case::Decide(&program, None));
    }
    for kind in Kind::ALL.into_iter().filter(|kind| kind.name().starts_with(&wanted)) {
        for routes in [few, many_routes] {
            let scene = Scene::new(kind, routes, few);
            let presented = Presented::Session(Arc::new(session("kim@corp.test")));
            count(&format!("admit_{}_{routes}", kind.name()), &Case::Admit(&scene, &views(&scene), &presented));
        }
    }
    if "steps".starts_with(&wanted) {
        let scene = Scene::new(Kind::Prefix, few, few);
        count("read", &Case::Read(&scene));
        count("find_resolve_admit", &Case::Judge(&scene, &views(&scene)));
        count("assertion_kept", &Case::Assertion(&scene, &session("kim@corp.test")));
    }
    for sessions in [few, many_sessions].into_iter().filter(|_| "resolve".starts_with(&wanted)) {
        let scene = Scene::new(Kind::Prefix, few, sessions);
        let keys: Vec<SessionKey> = (0..TIMES).map(|number| scene.key(number)).collect();
        count(&format!("resolve_{sessions}"), &Case::Resolve(&scene, &keys));
    }
}

fn views(scene: &Scene) -> Vec<RequestView<'_>> {
    (0..TIMES).map(|number| scene.read(number)).collect()
}

/// Once through everything, so that what a thread or an expression makes at its first use is made; then counted.
fn count(name: &str, case: &Case<'_>) {
    for number in 0..TIMES {
        case.step(number);
    }
    println!("{name}");
    measured(case);
    counted();
}

/// Where callgrind writes what it counted, and begins at zero.
#[inline(never)]
fn counted() {
    black_box(());
}

#[inline(never)]
fn measured(case: &Case<'_>) {
    let mut number = 0;
    while number < TIMES {
        case.step(number);
        number += 1;
    }
}

impl Case<'_> {
    fn step(&self, number: usize) {
        match self {
            Self::Decide(program, subject) => done(program.decide(&policies::facts(*subject))),
            Self::Admit(scene, views, presented) => {
                if let Some(view) = views.get(number) {
                    done(scene.admit(view, presented));
                }
            }
            Self::Judge(scene, views) => {
                if let Some(view) = views.get(number) {
                    done(scene.judge(number, view));
                }
            }
            Self::Read(scene) => done(scene.read(number)),
            Self::Resolve(scene, keys) => {
                if let Some(key) = keys.get(number) {
                    done(scene.resolve(key));
                }
            }
            Self::Assertion(scene, session) => done(scene.assertion(session)),
        }
    }
}

fn done<T>(value: T) {
    drop(black_box(value));
}
