//! Generations that share what they have in common.

use std::sync::Arc;

use portcullis_config::{Config, Generation, PathPattern, Route};

use super::Snapshot;
use crate::sample;

#[test]
fn equal_routes_of_two_generations_are_one() {
    let policy = sample::policy("allow: {and: [accept: true]}");
    let routes = |hosts: &[&str]| -> Vec<Route> {
        let route = |(at, host): (usize, &&str)| Route { line: at, ..sample::route(host, PathPattern::Any, &policy) };
        hosts.iter().enumerate().map(route).collect()
    };
    let first = Snapshot::build(&Arc::new(sample::config(routes(&["a.test", "b.test", "c.test"]))), None).unwrap();
    let config =
        Config { generation: Generation([8; 32]), ..sample::config(routes(&["a.test", "x.test", "d.test", "c.test"])) };
    let second = Snapshot::build(&Arc::new(config), Some(&first)).unwrap();
    assert_ne!(first.generation(), second.generation());
    let same = |one: usize, other: usize| Arc::ptr_eq(&first.routes()[one], &second.routes()[other]);
    assert!(same(0, 0), "the route was not touched");
    assert!(!same(1, 1), "another route stands there");
    assert!(!same(2, 3), "it moved, and its line with it");
    assert_eq!(second.routes()[3].line, 3);
}
