//! What an oauth2-proxy does, gathered from its files, before it becomes routes of ours.

use crate::migrate::pomerium::nobody;
use crate::migrate::tree::{Tree, Value};

/// What an oauth2-proxy does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// The host that it serves, from its callback.
    pub(crate) host: Option<String>,
    pub(crate) kind: String,
    /// An entry of `providers`, as far as it is known.
    pub(crate) provider: Provider,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) access: Access,
    pub(crate) public: Vec<PublicPath>,
    /// Headers of upstreams and the claims in them.
    pub(crate) claim_headers: Vec<(String, String)>,
    /// Headers of upstreams with tokens.
    pub(crate) request_headers: Vec<(String, String)>,
    pub(crate) cors_preflight: bool,
}

/// What is known of the provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct Provider {
    pub(crate) issuer: Option<Tree>,
    pub(crate) client_id: Option<Tree>,
    pub(crate) client_secret: Option<Tree>,
    pub(crate) label: Option<Tree>,
    pub(crate) scopes: Option<Tree>,
    pub(crate) groups_claim: Option<Tree>,
    pub(crate) email_claim: Option<Tree>,
    pub(crate) takes_unverified_email: bool,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) ca: Vec<String>,
}

/// Where requests of some paths go.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) path: UpstreamPath,
    pub(crate) target: Target,
    pub(crate) preserve_host: bool,
    pub(crate) websockets: bool,
    pub(crate) skip_verify: bool,
    pub(crate) timeout: Option<String>,
    /// The replacement of an expression's path.
    pub(crate) rewrite: Option<String>,
    pub(crate) remarks: Tree,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamPath {
    Any,
    Prefix(String),
    Exact(String),
    Regex(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Url(String),
    Status(u16),
}

/// A path that is open to everybody.
#[derive(Clone, Debug)]
pub(crate) struct PublicPath {
    pub(crate) method: Option<String>,
    /// Found anywhere in the path.
    pub(crate) regex: String,
}

/// Who may.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// Everybody whom the provider knows.
    pub(crate) anybody: bool,
    pub(crate) domains: Vec<String>,
    /// Domains below these, which begin with a dot.
    pub(crate) subdomains: Vec<String>,
    pub(crate) emails: Vec<String>,
    /// One of these beside the address.
    pub(crate) groups: Vec<String>,
    /// A restriction that could not be said.
    pub(crate) closed: bool,
    pub(crate) remarks: Option<Tree>,
}

impl Access {
    /// Whether the files say who may at all.
    pub(crate) fn is_said(&self) -> bool {
        self.anybody || !(self.domains.is_empty() && self.subdomains.is_empty() && self.emails.is_empty())
    }

    /// Puts it into a route; `also` are rules that permit beside it.
    pub(crate) fn put(&self, route: &mut Tree, also: Vec<Tree>) {
        let remarked = |tree: Tree| self.remarks.iter().fold(tree, Tree::with_remarks_of);
        if self.closed || !self.is_said() {
            // What is open stays open.
            return route.set("policy", if also.is_empty() { nobody() } else { Tree::list(also) });
        }
        let mut rules = also;
        let plain = self.groups.is_empty() && self.subdomains.is_empty() && self.emails.is_empty();
        if self.groups.is_empty() && self.anybody {
            route.set("allow_any_authenticated_user", remarked(Tree::boolean(true)));
        } else if plain {
            route.set("allowed_domains", remarked(Tree::texts(self.domains.clone())));
        } else {
            rules.extend(self.rules());
        }
        if !rules.is_empty() {
            route.set("policy", Tree::list(rules));
        }
    }

    /// Both the address and a group, as oauth2-proxy wants it: one rule for each pair.
    fn rules(&self) -> Vec<Tree> {
        let mut who: Vec<Option<Tree>> = Vec::new();
        if self.anybody {
            who.push(None);
        } else {
            if !self.domains.is_empty() {
                who.push(Some(criterion("domain", "in", Tree::texts(self.domains.clone()))));
            }
            who.extend(
                self.subdomains.iter().map(|domain| Some(criterion("domain", "ends_with", Tree::text(domain.clone())))),
            );
            if !self.emails.is_empty() {
                who.push(Some(criterion("email", "in", Tree::texts(self.emails.clone()))));
            }
        }
        let mut rules = Vec::new();
        for one in &who {
            if self.groups.is_empty() {
                rules.push(allow(one.iter().cloned().collect()));
            }
            for group in &self.groups {
                let group = criterion("groups", "has", Tree::text(group.clone()));
                rules.push(allow(one.iter().cloned().chain([group]).collect()));
            }
        }
        rules
    }
}

fn criterion(name: &str, matcher: &str, value: Tree) -> Tree {
    Tree::map([(name, Tree::map([(matcher, value)]).flowing())]).flowing()
}

/// A rule that permits if all of these hold.
pub(crate) fn allow(criteria: Vec<Tree>) -> Tree {
    Tree::map([("allow", Tree::map([("and", Tree::list(criteria).flowing())]).flowing())]).flowing()
}

impl PublicPath {
    /// The rule that opens it.
    pub(crate) fn rule(&self) -> Tree {
        allow(vec![match &self.method {
            Some(method) => Tree::map([("http_method", Tree::text(method.clone()))]).flowing(),
            None => Tree::map([("accept", Tree::boolean(true))]).flowing(),
        }])
    }

    /// Ours match a path as a whole.
    pub(crate) fn whole(&self) -> String {
        let text = &self.regex;
        if text.contains('|') {
            return format!(".*(?:{text}).*");
        }
        let (text, front) = text.strip_prefix('^').map_or((text.as_str(), ".*"), |rest| (rest, ""));
        let ends = text.ends_with('$') && !text.ends_with("\\$");
        let (text, back) = if ends { (text.strip_suffix('$').unwrap_or(text), "") } else { (text, ".*") };
        format!("{front}{text}{back}")
    }

    /// What every path of it begins with, as far as that is plain.
    pub(crate) fn literal(&self) -> &str {
        let Some(text) = self.regex.strip_prefix('^').filter(|text| !text.contains('|')) else { return "" };
        let end = text.find(|c: char| "\\.+*?()[]{}$^".contains(c)).unwrap_or(text.len());
        // `a?` and `a*` make what stands before them optional.
        let optional = text.get(end..).is_some_and(|rest| rest.starts_with(['?', '*', '{']));
        let end = if optional {
            text.get(..end).unwrap_or_default().char_indices().last().map_or(0, |(at, _)| at)
        } else {
            end
        };
        text.get(..end).unwrap_or_default()
    }
}

impl UpstreamPath {
    /// A path as oauth2-proxy's own table of paths takes it: with a slash at its end it is a prefix.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "" | "/" => Self::Any,
            path if path.starts_with('^') => Self::Regex(path.trim_start_matches('^').trim_end_matches('$').to_owned()),
            path if path.ends_with('/') => Self::Prefix(path.to_owned()),
            path => Self::Exact(path.to_owned()),
        }
    }

    /// What is looked at first: expressions, then the longest.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Regex(text) => usize::MAX.saturating_sub(1000).saturating_add(text.len().min(999)),
            Self::Prefix(text) | Self::Exact(text) => text.len(),
            Self::Any => 0,
        }
    }

    pub(crate) fn put(&self, route: &mut Tree) {
        match self {
            Self::Any => {}
            Self::Prefix(text) => route.set("prefix", Tree::text(text.clone())),
            Self::Exact(text) => route.set("path", Tree::text(text.clone())),
            Self::Regex(text) => route.set("regex", Tree::text(text.clone())),
        }
    }
}

impl Upstream {
    /// The keys of a route that say what happens to its requests.
    pub(crate) fn put(&self, route: &mut Tree) {
        match &self.target {
            Target::Status(status) => {
                route.set("response", Tree::map([("status", Tree::number(*status))]).flowing());
                return;
            }
            Target::Url(url) => route.set("to", Tree::text(url.clone()).with_remarks_of(&self.remarks)),
        }
        if let (UpstreamPath::Regex(pattern), Some(to)) = (&self.path, &self.rewrite) {
            route.set("regex_rewrite_pattern", Tree::text(format!("^{pattern}$")));
            route.set("regex_rewrite_substitution", Tree::text(to.clone()));
        } else if let Some(to) = &self.rewrite {
            route.set("prefix_rewrite", Tree::text(to.clone()));
        }
        let flags = [
            ("preserve_host_header", self.preserve_host),
            ("allow_websockets", self.websockets),
            ("tls_skip_verify", self.skip_verify),
        ];
        for (key, _) in flags.into_iter().filter(|(_, given)| *given) {
            route.set(key, Tree::boolean(true));
        }
        if let Some(timeout) = &self.timeout {
            route.set("timeout", Tree::text(timeout.clone()));
        }
    }
}

/// Headers as a mapping; `None` for none.
pub(crate) fn headers(pairs: &[(String, String)]) -> Option<Tree> {
    let mut map: Tree = Value::Map(Vec::new()).into();
    for (name, value) in pairs {
        map.set_key(name, Tree::text(value.clone()));
    }
    (!pairs.is_empty()).then_some(map)
}
