//! The routes of one host by path.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::{PathPattern, Route};
use regex::Regex;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, HirKind, Look};

use crate::BuildError;
use crate::path::canonical_pattern;

/// Finds the first of a host's routes that serves a path: exact paths by hash, prefixes by a trie whose depth
/// is the path's. Expressions are tried one after the other, but only those whose literal beginning is the path's,
/// by another trie, and that stand before what is found already.
#[derive(Debug, Default)]
pub(super) struct PathIndex {
    exact: HashMap<Box<str>, Places>,
    prefixes: Trie<Place>,
    expressions: Trie<(Arc<Regex>, Place)>,
    ports: Ports,
}

/// Where a route stands in the file, and the port it wants.
#[derive(Clone, Copy, Debug)]
struct Place {
    index: u32,
    port: Option<u16>,
}

/// Places in file order; nearly always one.
type Places = Vec<Place>;

/// The ports that a host's routes want.
#[derive(Debug, Default)]
struct Ports {
    any: bool,
    listed: Vec<u16>,
}

impl PathIndex {
    /// Adds a route; `index` is higher than of any before.
    pub(super) fn add(&mut self, route: &Arc<Route>, index: u32) -> Result<(), BuildError> {
        let place = Place { index, port: route.port };
        match route.port {
            None => self.ports.any = true,
            Some(port) if self.ports.listed.contains(&port) => {}
            Some(port) => self.ports.listed.push(port),
        }
        match &route.path {
            PathPattern::Any => self.prefixes.insert(b"", place),
            PathPattern::Prefix(prefix) => {
                self.prefixes.insert(spelled(route, prefix)?.as_bytes(), place);
            }
            PathPattern::Exact(path) => {
                self.exact.entry(spelled(route, path)?.into()).or_default().push(place);
            }
            PathPattern::Regex(expression) => {
                self.expressions.insert(&literal_start(expression), (Arc::clone(expression), place));
            }
        }
        Ok(())
    }

    /// Whether any route of the host takes requests for this port.
    pub(super) fn serves(&self, port: u16) -> bool {
        self.ports.any || self.ports.listed.contains(&port)
    }

    /// The lowest index of a route that serves the path, or `best` if that is lower.
    pub(super) fn first(&self, path: &str, port: u16, best: Option<u32>) -> Option<u32> {
        let mut best = best;
        if let Some(places) = self.exact.get(path) {
            lower(&mut best, places, port);
        }
        self.prefixes.each_on_the_way(path, |places| lower(&mut best, places, port));
        self.expressions
            .each_on_the_way(path, |beginning_so| lower_by_expression(&mut best, beginning_so, (path, port)));
        best
    }
}

impl Place {
    fn takes(self, port: u16) -> bool {
        self.port.is_none_or(|wanted| wanted == port)
    }
}

fn lower(best: &mut Option<u32>, places: &[Place], port: u16) {
    let first = places.iter().find(|place| place.takes(port)).map(|place| place.index);
    *best = match (*best, first) {
        (Some(best), Some(first)) => Some(best.min(first)),
        (best, first) => best.or(first),
    };
}

/// A pattern in the spelling that paths are matched in.
fn spelled<'a>(route: &Route, pattern: &'a str) -> Result<Cow<'a, str>, BuildError> {
    let spelled = canonical_pattern(pattern).filter(|spelled| spelled.starts_with('/'));
    spelled.ok_or_else(|| BuildError::PathNotValid { route: Arc::clone(&route.name) })
}

/// What every path begins with that the whole expression matches; empty where that cannot be told.
fn literal_start(expression: &Regex) -> Vec<u8> {
    let start = |tree: &Hir| {
        // Without the anchor a match could begin anywhere.
        let HirKind::Concat(parts) = tree.kind() else { return false };
        parts.first().is_some_and(|first| *first.kind() == HirKind::Look(Look::Start))
    };
    let tree = regex_syntax::parse(expression.as_str()).ok().filter(start);
    let starts = tree.map(|tree| Extractor::new().kind(ExtractKind::Prefix).extract(&tree));
    starts.as_ref().and_then(|starts| starts.longest_common_prefix()).unwrap_or_default().to_vec()
}

/// Lowers `best` to the first of the expressions that matches the path and stands before it.
fn lower_by_expression(best: &mut Option<u32>, expressions: &[(Arc<Regex>, Place)], (path, port): (&str, u16)) {
    let found = *best;
    let before = |place: &Place| found.is_none_or(|found| place.index < found);
    let candidates = expressions.iter().take_while(|(_, place)| before(place));
    let mut matching = candidates.filter(|(expression, place)| place.takes(port) && expression.is_match(path));
    if let Some((_, place)) = matching.next() {
        *best = Some(place.index);
    }
}

/// A radix trie over the bytes of beginnings.
#[derive(Debug)]
struct Trie<T> {
    /// What begins with exactly what leads here, in file order.
    own: Vec<T>,
    /// By first byte of the label, ascending.
    children: Vec<Edge<T>>,
}

#[derive(Debug)]
struct Edge<T> {
    first: u8,
    /// What follows the first byte.
    label: Box<[u8]>,
    node: Trie<T>,
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { own: Vec::new(), children: Vec::new() }
    }
}

impl<T> Trie<T> {
    fn insert(&mut self, prefix: &[u8], value: T) {
        let mut node = self;
        let mut rest = prefix;
        while let Some((first, behind)) = rest.split_first() {
            let at = match node.children.binary_search_by_key(first, |edge| edge.first) {
                Ok(at) => at,
                Err(at) => {
                    node.children.insert(at, Edge { first: *first, label: behind.into(), node: Self::default() });
                    at
                }
            };
            // The place was found or made just now.
            let Some(edge) = node.children.get_mut(at) else { return };
            rest = edge.enter(behind);
            node = &mut edge.node;
        }
        node.own.push(value);
    }

    /// Calls `visit` with what stands at every beginning of `path`, shortest first.
    fn each_on_the_way<'t>(&'t self, path: &str, mut visit: impl FnMut(&'t [T])) {
        let mut node = self;
        let mut rest = path.as_bytes();
        loop {
            if !node.own.is_empty() {
                visit(&node.own);
            }
            let Some((first, behind)) = rest.split_first() else { return };
            let found = node.children.binary_search_by_key(first, |edge| edge.first).ok();
            let Some(edge) = found.and_then(|at| node.children.get(at)) else { return };
            let Some(behind) = behind.strip_prefix(&*edge.label) else { return };
            node = &edge.node;
            rest = behind;
        }
    }
}

impl<T> Edge<T> {
    /// Cuts the label where `behind` leaves it, and gives what `behind` has beyond the label.
    fn enter<'b>(&mut self, behind: &'b [u8]) -> &'b [u8] {
        let common = self.label.iter().zip(behind).take_while(|(one, other)| one == other).count();
        if let Some((kept, cut)) = self.label.split_at_checked(common) {
            if let Some((first, label)) = cut.split_first() {
                let below = Self { first: *first, label: label.into(), node: std::mem::take(&mut self.node) };
                self.node.children.push(below);
            }
            self.label = kept.into();
        }
        behind.get(common..).unwrap_or_default()
    }
}
