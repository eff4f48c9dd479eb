//! Who may: the access keys of routes and the shared policies, compiled by the policy language from the
//! marked tree, so that its findings carry their own places.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_policy::yaml::Node;
use portcullis_policy::{
    ACCESS_KEYS, Compiled, Diagnostic, Program, SHADOW_KEY, SharedPolicies, compile_guarded_route,
    compile_guarded_shadow, compile_route, compile_shadow,
};
use serde_yaml::{Mapping, Value};

use crate::field::Field;
use crate::report::Report;
use crate::schema::{DownstreamMtlsSection, EnforcementName};

/// Compiles routes; those with the same text share one program.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    tree: &'a Node,
    shared: SharedPolicies,
    compiled: HashMap<(Vec<Option<Value>>, bool), Arc<Program>>,
    clients: &'a DownstreamMtlsSection,
}

impl<'a> Access<'a> {
    /// With the shared policies of a whole file, and what it asks of client certificates.
    pub(crate) fn new(report: &mut Report<'_>, tree: &'a Node, clients: &'a DownstreamMtlsSection) -> Self {
        let mut shared = SharedPolicies::default();
        if let Some(node) = tree.get("policies") {
            match SharedPolicies::new(node) {
                Ok((policies, warnings)) => {
                    shared = policies;
                    for warning in warnings {
                        report.advice(&Field::Root.key("policies"), warning);
                    }
                }
                Err(found) => report.diagnostic(&Field::Root.key("policies"), found),
            }
        }
        Self { tree, shared, compiled: HashMap::new(), clients }
    }

    /// The program of one route; `None` if there is something wrong, which the report has then.
    pub(crate) fn program(&mut self, report: &mut Report<'_>, index: usize, route: &Mapping) -> Option<Arc<Program>> {
        let keys = ACCESS_KEYS.iter().map(|key| route.get(*key).cloned()).collect();
        let guarded = self.guards(route);
        let compile = if guarded { compile_guarded_route } else { compile_route };
        self.compiled(report, index, (keys, guarded), |node, shared| compile(node, shared).map(Some))
    }

    /// The program that the route has on trial beside its `live` one, if it has one.
    pub(crate) fn shadow(
        &mut self,
        report: &mut Report<'_>,
        index: usize,
        (route, live): (&Mapping, Option<&Program>),
    ) -> Option<Arc<Program>> {
        let policy = route.get(SHADOW_KEY)?;
        // One element more than the key of a live policy: an explanation tells the shadow's own lines.
        let keys = ACCESS_KEYS.iter().map(|key| route.get(*key).cloned()).chain([Some(policy.clone())]).collect();
        let guarded = self.guards(route);
        let compile = if guarded { compile_guarded_shadow } else { compile_shadow };
        let program = self.compiled(report, index, (keys, guarded), compile)?;
        if live.is_some_and(|live| live.digest() == program.digest()) {
            let list = Field::Root.key("routes");
            let at = list.index(index);
            let message = "the shadow policy says what `policy` says: they never differ";
            report.warn(&at.key(SHADOW_KEY), message, Some("remove it, or write what is to be tried"));
        }
        Some(program)
    }

    /// What was compiled of this text before, or is now.
    fn compiled(
        &mut self,
        report: &mut Report<'_>,
        index: usize,
        key: (Vec<Option<Value>>, bool),
        compile: impl FnOnce(&Node, &SharedPolicies) -> Result<Option<Compiled>, Diagnostic>,
    ) -> Option<Arc<Program>> {
        if let Some(known) = self.compiled.get(&key) {
            return Some(Arc::clone(known));
        }
        let list = Field::Root.key("routes");
        let at = list.index(index);
        let node = self.tree.get("routes").and_then(|routes| routes.as_list()?.get(index))?;
        match compile(node, &self.shared) {
            Ok(compiled) => {
                let Compiled { program, warnings } = compiled?;
                for warning in warnings {
                    report.advice(&at, warning);
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

    /// Whether the route denies whoever has no valid client certificate, whatever its policy says:
    /// [`Config::guards`](crate::Config::guards), before there is one.
    fn guards(&self, route: &Mapping) -> bool {
        let DownstreamMtlsSection { ca, ca_file, enforcement, .. } = self.clients;
        let own = ["tls_downstream_client_ca", "tls_downstream_client_ca_file"];
        let has_roots = ca.is_some() || ca_file.is_some() || own.iter().any(|key| route.contains_key(*key));
        has_roots && *enforcement != EnforcementName::Policy
    }
}
