//! A policy that stands in a test file itself, as the only route of a configuration.

use std::path::Path;
use std::sync::Arc;

use portcullis_config::{Config, ProcessEnvironment, from_text};
use portcullis_policy::yaml::Node;
use portcullis_policy::{Compiled, Diagnostic, SharedPolicies, compile_policy, compile_route};

use crate::policy::site::SiteError;

/// Every host and path; who may is replaced by the policy in question.
const EVERYWHERE: &str = "routes: [{name: policy, from: 'https://*', to: 'http://127.0.0.1:9', \
                          allow_public_unauthenticated_access: true}]\n";

/// Access as a test file writes it.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// The value of `policy`.
    Policy(Node),
    /// The access keys of a route.
    Route(Node),
}

/// The configuration of one policy. Its rules stand where the test file has them.
///
/// # Errors
/// If the policy is refused.
pub(crate) fn config(access: &Access) -> Result<Arc<Config>, SiteError> {
    let compiled = match access {
        Access::Policy(node) => compile_policy(node),
        Access::Route(node) => compile_route(node, &SharedPolicies::default()),
    };
    let Compiled { program, warnings: _ } = compiled.map_err(SiteError::Policy)?;
    let mut config = from_text(EVERYWHERE, "policy", Path::new("/"), &ProcessEnvironment)?.config;
    // Nobody else holds what was made just now; were it otherwise, the route would stay open to everybody.
    let route = Arc::get_mut(&mut config).and_then(|config| config.routes.first_mut()).and_then(Arc::get_mut);
    let route = route.ok_or_else(|| SiteError::Policy(misplaced()))?;
    route.policy = program;
    route.line = match access {
        Access::Policy(node) | Access::Route(node) => node.place().line,
    };
    Ok(config)
}

fn misplaced() -> Diagnostic {
    Diagnostic { message: "there is no route to put the policy on".to_owned(), line: 0, column: 0, help: None }
}
