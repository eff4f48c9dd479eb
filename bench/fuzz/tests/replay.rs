//! Every committed input keeps every promise, the search is the same for the same seed, and it finds what is broken.

#![cfg(test)]

use portcullis_fuzz::{Search, Shape, TARGETS, Target, committed, replay};

#[test]
fn every_committed_input_keeps_every_promise() {
    for target in TARGETS {
        let seeds = committed(target.name);
        assert!(seeds.len() >= 3, "{}: a corpus of {}", target.name, seeds.len());
        for seed in &seeds {
            replay(target, &seed.bytes).unwrap_or_else(|text| panic!("{}: {text}", seed.path.display()));
        }
        let mut shapes: Vec<Shape> = seeds.iter().map(|seed| replay(target, &seed.bytes).unwrap()).collect();
        shapes.dedup();
        assert!(shapes.len() > 1, "{}: one shape for all", target.name);
    }
}

#[test]
fn a_short_search_with_a_fixed_seed_finds_nothing() {
    for target in TARGETS {
        let mut search = Search::new(target, 7);
        for number in 0..200 {
            let input = search.draw();
            let found = search.attempt(&input);
            assert_eq!(found, Ok(()), "{} {number}: {}", target.name, String::from_utf8_lossy(&input));
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let inputs = |seed| {
        let mut search = Search::new(&TARGETS[0], seed);
        let inputs: Vec<_> = (0..50).map(|_| search.draw()).collect();
        inputs
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
}

/// A target with a mistake: it cannot bear a comma.
const BROKEN: Target = Target { name: "yaml", run: broken, words: &[","] };

fn broken(input: &[u8]) -> Shape {
    assert!(!input.contains(&b','), "a comma");
    replay(&TARGETS[0], input).unwrap()
}

#[test]
fn what_is_broken_is_found() {
    static TARGET: Target = BROKEN;
    let mut search = Search::new(&TARGET, 1);
    let found = (0..10_000).find_map(|_| {
        let input = search.draw();
        search.attempt(&input).err()
    });
    assert_eq!(found, Some("a comma".to_owned()));
}
