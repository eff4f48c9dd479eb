//! Who may: the access keys of routes and the shared policies, compiled by the policy language from the
//! marked tree, so that its findings carry their own places.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_policy::yaml::Node;
use portcullis_policy::{
    ACCESS_KEYS, Compiled, Diagnostic, Program, SHADOW_KEY, SharedPolicies, compile_guarded_route,
    compile_guarded_shadow, compile_route, compile_shadow,
};

use crate::field::Field;
use crate::report::Report;
use crate::schema::{DownstreamMtlsSection, EnforcementName};
use crate::values;

/// Compiles routes; those with the same text share one program.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    shared: SharedPolicies,
    /// By what the access keys say, and whether the route is guarded.
    compiled: HashMap<(Vec<u8>, bool), Arc<Program>>,
    clients: &'a DownstreamMtlsSection,
}

impl<'a> Access<'a> {
    /// With the shared policies of a whole file, and what it asks of client certificates.
    pub(crate) fn new(report: &mut Report<'_>, tree: &Node, clients: &'a DownstreamMtlsSection) -> Self {
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
        Self { shared, compiled: HashMap::new(), clients }
    }

    /// The program of one route; `None` if there is something wrong, which the report has then.
    pub(crate) fn program(&mut self, report: &mut Report<'_>, index: usize, route: &Node) -> Option<Arc<Program>> {
        let guarded = self.guards(route);
        let compile = if guarded { compile_guarded_route } else { compile_route };
        let compile = |shared: &SharedPolicies| compile(route, shared).map(Some);
        self.compiled(report, index, (said(route), guarded), compile)
    }

    /// The program that the route has on trial beside its `live` one, if it has one.
    pub(crate) fn shadow(
        &mut self,
        report: &mut Report<'_>,
        index: usize,
        (route, live): (&Node, Option<&Program>),
    ) -> Option<Arc<Program>> {
        let policy = route.get(SHADOW_KEY)?;
        // One element more than the key of a live policy: an explanation tells the shadow's own lines.
        let mut said = said(route);
        values::canonical(policy, &mut said);
        let guarded = self.guards(route);
        let compile = if guarded { compile_guarded_shadow } else { compile_shadow };
        let program = self.compiled(report, index, (said, guarded), |shared| compile(route, shared))?;
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
        key: (Vec<u8>, bool),
        compile: impl FnOnce(&SharedPolicies) -> Result<Option<Compiled>, Diagnostic>,
    ) -> Option<Arc<Program>> {
        if let Some(known) = self.compiled.get(&key) {
            return Some(Arc::clone(known));
        }
        let list = Field::Root.key("routes");
        let at = list.index(index);
        match compile(&self.shared) {
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
    fn guards(&self, route: &Node) -> bool {
        let DownstreamMtlsSection { ca, ca_file, enforcement, .. } = self.clients;
        let own = ["tls_downstream_client_ca", "tls_downstream_client_ca_file"];
        let has_roots = ca.is_some() || ca_file.is_some() || own.iter().any(|key| route.get(key).is_some());
        has_roots && *enforcement != EnforcementName::Policy
    }
}

/// What the access keys of a route say.
fn said(route: &Node) -> Vec<u8> {
    let mut said = Vec::new();
    for key in ACCESS_KEYS {
        match route.get(key) {
            None => said.push(b'-'),
            Some(value) => {
                said.push(b'+');
                values::canonical(value, &mut said);
            }
        }
    }
    said
}
