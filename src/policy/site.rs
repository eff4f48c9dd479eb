//! A configuration to be asked, as the proxy would be: the same routing, the same gate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_config::{Config, LoadError, ProcessEnvironment, Route};
use portcullis_gate::{BuildError, Gate, RecordSource, Snapshot};
use portcullis_identity::Records;
use portcullis_policy::yaml::{self, Node};
use portcullis_policy::{
    Diagnostic, SharedPolicies, compile_guarded_route, compile_guarded_shadow, compile_route, compile_shadow,
};

use crate::policy::{inline, reduced};

/// A configuration to be asked.
#[derive(Debug)]
pub(crate) struct Site {
    name: String,
    gate: Gate,
    supposed: Arc<Supposed>,
    left_out: Option<LoadError>,
}

/// External data as the question brings it.
#[derive(Debug, Default)]
struct Supposed(ArcSwap<Records>);

impl RecordSource for Supposed {
    fn records(&self) -> Option<Arc<Records>> {
        Some(self.0.load_full())
    }
}

/// Why there is nothing to ask.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    /// The file cannot be read as text.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration is refused, and not only for what decisions do not look at.
    #[error(transparent)]
    Refused(#[from] LoadError),
    /// The configuration is refused, and so it is without what decisions do not look at.
    #[error("{refused}\n{}", without.join("\n"))]
    RefusedTwice {
        /// Why it cannot be served.
        refused: LoadError,
        /// What else is wrong.
        without: Vec<String>,
    },
    /// The policy in a test file is refused.
    #[error("{0}")]
    Policy(Diagnostic),
    /// No request could reach a route.
    #[error(transparent)]
    Unserved(#[from] BuildError),
}

impl Site {
    /// Reads a configuration file. Where it is refused only for want of secrets, certificates and the like, which no
    /// decision looks at, it is read without them; [`Site::note`] tells.
    ///
    /// # Errors
    /// [`SiteError`].
    pub(crate) fn load(path: &Path) -> Result<Self, SiteError> {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|source| SiteError::Unreadable { path: name.clone(), source })?;
        let loaded = portcullis_config::load(path, &ProcessEnvironment).map(|loaded| loaded.config);
        let tree = yaml::parse(&text).ok();
        let (config, left_out) = match (loaded, tree) {
            (Ok(config), Some(tree)) => (placed(Arc::clone(&config), &tree).unwrap_or(config), None),
            (Ok(config), None) => (config, None),
            (Err(refused), None) => return Err(refused.into()),
            (Err(refused), Some(tree)) => {
                let base = path.parent().map_or_else(PathBuf::new, Path::to_owned);
                let config = match reduced::config(&tree, &name, &base) {
                    Ok(config) => placed(config, &tree).ok_or_else(|| refused.clone())?,
                    Err(without) if without.is_empty() => return Err(refused.into()),
                    Err(without) => return Err(SiteError::RefusedTwice { refused, without }),
                };
                (config, Some(refused))
            }
        };
        Self::of(&config, name, left_out)
    }

    /// The configuration whose only route serves every host and has this policy.
    ///
    /// # Errors
    /// [`SiteError::Policy`], or a mistake of ours.
    pub(crate) fn inline(file: &str, access: &inline::Access) -> Result<Self, SiteError> {
        let config = inline::config(access)?;
        Self::of(&config, file.to_owned(), None)
    }

    fn of(config: &Arc<Config>, name: String, left_out: Option<LoadError>) -> Result<Self, SiteError> {
        let supposed = Arc::new(Supposed::default());
        let gate = Gate::new(Snapshot::build(config, None)?).with_records(Arc::clone(&supposed) as _);
        Ok(Self { name, gate, supposed, left_out })
    }

    /// Has the gate take `records` for all external data there is.
    pub(crate) fn suppose(&self, records: &Arc<Records>) {
        self.supposed.0.store(Arc::clone(records));
    }

    /// The file, as it was named.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What was left out, for standard error.
    pub(crate) fn note(&self) -> Option<String> {
        let refused = self.left_out.as_ref()?;
        Some(format!(
            "{}: judged by its routes and policies alone, as it could not be served here:\n{refused}",
            self.name
        ))
    }

    /// The gate that answers.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The configuration behind the gate.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(self.gate.snapshot().config())
    }

    /// The routes in the order of the file.
    pub(crate) fn routes(&self) -> Vec<Arc<Route>> {
        self.gate.snapshot().routes().to_vec()
    }

    /// A route by its name.
    pub(crate) fn route(&self, name: &str) -> Option<Arc<Route>> {
        self.routes().into_iter().find(|route| &*route.name == name)
    }
}

/// The configuration with every route's own policy and place. Routes with the same policy text share one program in
/// the proxy, whose rules stand where the first of them wrote it; here each rule is wanted where it was written.
fn placed(mut config: Arc<Config>, tree: &Node) -> Option<Arc<Config>> {
    let shared = match tree.get("policies") {
        Some(node) => SharedPolicies::new(node).ok()?.0,
        None => SharedPolicies::default(),
    };
    let nodes = tree.get("routes")?.as_list()?;
    let guarded: Vec<bool> = config.routes.iter().map(|route| config.guards(route)).collect();
    let routes = &mut Arc::get_mut(&mut config)?.routes;
    if routes.len() != nodes.len() {
        return None;
    }
    for ((route, node), guarded) in routes.iter_mut().zip(nodes).zip(guarded) {
        let route = Arc::get_mut(route)?;
        let policy = if guarded { compile_guarded_route } else { compile_route };
        let shadow = if guarded { compile_guarded_shadow } else { compile_shadow };
        route.policy = policy(node, &shared).ok()?.program;
        route.shadow = shadow(node, &shared).ok()?.map(|compiled| compiled.program);
        route.line = node.place().line;
    }
    Some(config)
}
