//! Who may: the access keys of routes and the shared policies, compiled by the policy language from the
//! marked tree, so that its findings carry their own places.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_policy::yaml::Node;
use portcullis_policy::{ACCESS_KEYS, Compiled, Program, SharedPolicies, compile_route};
use serde_yaml::{Mapping, Value};

use crate::field::Field;
use crate::report::Report;

/// Compiles routes; those with the same text share one program.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    tree: &'a Node,
    shared: SharedPolicies,
    compiled: HashMap<Vec<Option<Value>>, Arc<Program>>,
}

impl<'a> Access<'a> {
    /// With the shared policies of a whole file.
    pub(crate) fn new(report: &mut Report<'_>, tree: &'a Node) -> Self {
        let mut shared = SharedPolicies::default();
        if let Some(node) = tree.get("policies") {
            match SharedPolicies::new(node) {
                Ok((policies, warnings)) => {
                    shared = policies;
                    for warning in warnings {
                        report.warn_in_line(warning.line, warning.column, warning.message, warning.help);
                    }
                }
                Err(found) => report.diagnostic(&Field::Root.key("policies"), found),
            }
        }
        Self { tree, shared, compiled: HashMap::new() }
    }

    /// The program of one route; `None` if there is something wrong, which the report has then.
    pub(crate) fn program(&mut self, report: &mut Report<'_>, index: usize, route: &Mapping) -> Option<Arc<Program>> {
        let key: Vec<Option<Value>> = ACCESS_KEYS.iter().map(|key| route.get(*key).cloned()).collect();
        if let Some(known) = self.compiled.get(&key) {
            return Some(Arc::clone(known));
        }
        let list = Field::Root.key("routes");
        let at = list.index(index);
        let node = self.tree.get("routes").and_then(|routes| routes.as_list()?.get(index))?;
        match compile_route(node, &self.shared) {
            Ok(Compiled { program, warnings }) => {
                for warning in warnings {
                    report.warn_in_line(warning.line, warning.column, warning.message, warning.help);
                }
                self.compiled.insert(key, Arc::clone(&program));
                Some(program)
            }
            Err(found) => {
                report.diagnostic(&at, found);
                None
            }
        }
    }
}
