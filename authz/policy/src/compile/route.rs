//! A route's access keys: the shorthand, and `policy` with the names of shared policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Diagnostic;
use crate::criterion::{ClaimMatcher, Criterion, Path, RequestCriterion, SubjectCriterion};
use crate::matcher::{StringMatcher, StringTest};
use crate::program::{Action, Operator, OperatorKind, Rule, Source};
use crate::yaml::{Entry, Kind, Node};

use super::{Compiled, Compiler, MAX_CRITERIA};

/// The keys of a route that say who may pass.
pub const ACCESS_KEYS: [&str; 7] = [
    "policy",
    "allow_public_unauthenticated_access",
    PREFLIGHT_KEY,
    "allow_any_authenticated_user",
    "allowed_users",
    "allowed_domains",
    "allowed_idp_claims",
];

/// The key of a route that holds a policy on trial: judged beside the live one, never acted upon.
pub const SHADOW_KEY: &str = "shadow_policy";

const PREFLIGHT_KEY: &str = "cors_allow_preflight";

/// Policies that routes share by name: the value of the configuration's `policies`.
#[derive(Clone, Debug, Default)]
pub struct SharedPolicies(BTreeMap<Arc<str>, Node>);

impl SharedPolicies {
    /// No shared policy.
    pub(crate) const NONE: Self = Self(BTreeMap::new());

    /// Reads a mapping of names to policies, compiling each one, so that an unused mistake is found too.
    /// The warnings are those of all of them.
    ///
    /// # Errors
    /// If it is no mapping, or one of them is no policy, or names another.
    pub fn new(node: &Node) -> Result<(Self, Vec<Diagnostic>), Diagnostic> {
        let entries = node.as_mapping().ok_or_else(|| {
            Diagnostic::at(node.place(), format!("`policies` is a mapping of names to policies, not {}", node.kind()))
        })?;
        let mut policies = BTreeMap::new();
        let mut warnings = Vec::new();
        for Entry { key, key_span: _, value } in entries {
            warnings.extend(super::compile_policy(value)?.warnings);
            policies.insert(Arc::clone(key), value.clone());
        }
        Ok((Self(policies), warnings))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.0.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }
}

/// Compiles the access keys of a route's mapping; other keys are not looked at. Null is as if the key were
/// not there. Without any rule nobody passes.
///
/// # Errors
/// If a key is mistyped, two contradict each other, or `policy` is no policy.
pub fn compile_route(route: &Node, shared: &SharedPolicies) -> Result<Compiled, Diagnostic> {
    access(route, shared).map(Compiler::finish)
}

/// As [`compile_route`], and behind the route's own rules one more that denies whoever has no valid client
/// certificate. It stands where the route does.
///
/// # Errors
/// As of [`compile_route`].
pub fn compile_guarded_route(route: &Node, shared: &SharedPolicies) -> Result<Compiled, Diagnostic> {
    access(route, shared).map(|compiler| compiler.guarded(route).finish())
}

fn access<'a>(route: &Node, shared: &'a SharedPolicies) -> Result<Compiler<'a>, Diagnostic> {
    let mut compiler = Compiler::new(shared);
    compiler.shorthand(route, |_| true)?;
    if let Some(policy) = route.get("policy").filter(|policy| !policy.is_null()) {
        compiler.policy(policy)?;
    }
    Ok(compiler)
}

/// Compiles what would be asked if `shadow_policy` stood in the place of `policy` and of the shorthand keys that say
/// who may pass; `cors_allow_preflight` says what may, and stands before both. `None` without that key.
///
/// # Errors
/// As for [`compile_route`].
pub fn compile_shadow(route: &Node, shared: &SharedPolicies) -> Result<Option<Compiled>, Diagnostic> {
    Ok(shadow(route, shared)?.map(Compiler::finish))
}

/// As [`compile_shadow`], for a route that [`compile_guarded_route`] is for.
///
/// # Errors
/// As for [`compile_route`].
pub fn compile_guarded_shadow(route: &Node, shared: &SharedPolicies) -> Result<Option<Compiled>, Diagnostic> {
    Ok(shadow(route, shared)?.map(|compiler| compiler.guarded(route).finish()))
}

fn shadow<'a>(route: &Node, shared: &'a SharedPolicies) -> Result<Option<Compiler<'a>>, Diagnostic> {
    let Some(policy) = route.get(SHADOW_KEY).filter(|policy| !policy.is_null()) else { return Ok(None) };
    let mut compiler = Compiler::new(shared);
    compiler.shorthand(route, |key| key == PREFLIGHT_KEY)?;
    compiler.policy(policy)?;
    Ok(Some(compiler))
}

impl Compiler<'_> {
    /// With one more rule, which denies whoever has no valid client certificate.
    fn guarded(mut self, route: &Node) -> Self {
        let source = Source { name: "invalid_client_certificate".into(), place: route.place() };
        let line = source.place.line;
        self.digest.open("deny invalid_client_certificate");
        self.digest.close();
        let criteria = Box::from([RequestCriterion::InvalidClientCertificate.into()]);
        let operator = Operator { kind: OperatorKind::Or, criteria, sources: Box::from([source]) };
        self.rules.push(Rule { action: Action::Deny, line, operators: Box::from([operator]) });
        self
    }

    /// The rule that those of a route's shorthand keys make that count.
    fn shorthand(&mut self, route: &Node, counts: fn(&str) -> bool) -> Result<(), Diagnostic> {
        let entries = route
            .as_mapping()
            .ok_or_else(|| Diagnostic::at(route.place(), format!("a route is a mapping, not {}", route.kind())))?;
        let mut shorthand = Shorthand::default();
        for entry in entries.iter().filter(|entry| counts(&entry.key) && !entry.value.is_null()) {
            shorthand.take(self, entry)?;
        }
        shorthand.rule(self)
    }
}

/// The shorthand keys of one route, as they come.
#[derive(Default)]
struct Shorthand<'a> {
    public: Option<&'a Entry>,
    any_user: Option<&'a Entry>,
    users: Option<&'a Entry>,
    domains: Option<&'a Entry>,
    /// The first key that permits somebody.
    first: Option<&'a Entry>,
    criteria: Vec<Criterion>,
    sources: Vec<Source>,
}

impl<'a> Shorthand<'a> {
    fn take(&mut self, compiler: &mut Compiler<'_>, entry: &'a Entry) -> Result<(), Diagnostic> {
        let before = self.criteria.len();
        match &*entry.key {
            "allow_public_unauthenticated_access" => {
                self.public = self.flag(entry, RequestCriterion::Accept)?;
            }
            PREFLIGHT_KEY => {
                self.flag(entry, RequestCriterion::CorsPreflight)?;
            }
            "allow_any_authenticated_user" => {
                self.any_user = self.flag(entry, SubjectCriterion::Authenticated)?;
            }
            "allowed_users" => {
                self.users = Some(entry);
                compiler.look_at_addresses(&entry.value);
                for user in strings(compiler, entry)? {
                    self.add(SubjectCriterion::User(equal(user)));
                    self.add(SubjectCriterion::Email(equal(user)));
                }
            }
            "allowed_domains" => {
                self.domains = Some(entry);
                compiler.look_at_domains(&entry.value);
                for domain in strings(compiler, entry)? {
                    self.add(SubjectCriterion::domain(equal(domain)));
                }
            }
            "allowed_idp_claims" => self.claims(compiler, &entry.value, "")?,
            _ => return Ok(()),
        }
        compiler.digest.open(&entry.key);
        compiler.digest.node(&entry.value);
        compiler.digest.close();
        if self.criteria.len() > MAX_CRITERIA {
            return Err(Diagnostic::at(
                entry.key_span.start,
                format!("more than {MAX_CRITERIA} criteria (MAX_CRITERIA)"),
            ));
        }
        self.sources.resize(self.criteria.len(), Source::of(entry));
        if self.criteria.len() > before {
            self.first = self.first.or(Some(entry));
        }
        Ok(())
    }

    fn add(&mut self, criterion: SubjectCriterion) {
        self.criteria.push(criterion.into());
    }

    fn flag(&mut self, entry: &'a Entry, criterion: impl Into<Criterion>) -> Result<Option<&'a Entry>, Diagnostic> {
        match entry.value.as_boolean() {
            Some(true) => {
                self.criteria.push(criterion.into());
                Ok(Some(entry))
            }
            Some(false) => Ok(None),
            None => {
                let message = format!("`{}` takes `true` or `false`, not {}", entry.key, entry.value.kind());
                Err(Diagnostic::at(entry.value.place(), message))
            }
        }
    }

    /// Names to values, flattened with dots as claims are.
    fn claims(&mut self, compiler: &mut Compiler<'_>, node: &Node, prefix: &str) -> Result<(), Diagnostic> {
        let entries = node.as_mapping().ok_or_else(|| {
            Diagnostic::at(node.place(), format!("`allowed_idp_claims` maps claims to values, not {}", node.kind()))
        })?;
        for entry in entries {
            let name = if prefix.is_empty() { entry.key.to_string() } else { format!("{prefix}.{}", entry.key) };
            if let Kind::Mapping(_) = entry.value.kind() {
                self.claims(compiler, &entry.value, &name)?;
                continue;
            }
            let one = std::slice::from_ref(&entry.value);
            let values = entry.value.as_list().unwrap_or(one);
            compiler.bounded(&entry.value, values)?;
            if values.is_empty() {
                compiler.warn(&entry.value, format!("no value of `{name}` is allowed"), "add one or remove the claim");
            }
            for value in values {
                let values = compiler.list_matcher(value)?;
                self.add(SubjectCriterion::Claim(Box::new(ClaimMatcher { path: Path::new(&name), values })));
            }
        }
        Ok(())
    }

    /// The one rule, unless there is nothing to allow.
    fn rule(self, compiler: &mut Compiler<'_>) -> Result<(), Diagnostic> {
        let Self { public, any_user, users, domains, first, criteria, sources } = self;
        contradiction(public, any_user.or(users).or(domains))?;
        contradiction(any_user, users.or(domains))?;
        let Some(first) = first else { return Ok(()) };
        compiler.criteria = criteria.len();
        let operators = [Operator { kind: OperatorKind::Or, criteria: criteria.into(), sources: sources.into() }];
        let line = first.key_span.start.line;
        compiler.rules.push(Rule { action: Action::Allow, line, operators: operators.into() });
        Ok(())
    }
}

fn contradiction(open: Option<&Entry>, restricted: Option<&Entry>) -> Result<(), Diagnostic> {
    let (Some(open), Some(restricted)) = (open, restricted) else { return Ok(()) };
    let later = if open.key_span.start > restricted.key_span.start { open } else { restricted };
    let message = format!("`{}` and `{}` contradict each other", open.key, restricted.key);
    Err(Diagnostic::at(later.key_span.start, message).with_help("keep the one that is meant"))
}

fn equal(text: &str) -> StringMatcher {
    StringMatcher::new(vec![StringTest::Is(text.into())])
}

fn strings<'a>(
    compiler: &mut Compiler<'_>,
    entry: &'a Entry,
) -> Result<impl Iterator<Item = &'a str> + use<'a>, Diagnostic> {
    let mistyped = |node: &Node| {
        Diagnostic::at(node.place(), format!("`{}` takes a list of strings, not {}", entry.key, node.kind()))
    };
    let items = entry.value.as_list().ok_or_else(|| mistyped(&entry.value))?;
    compiler.bounded(&entry.value, items)?;
    if items.is_empty() {
        compiler.warn(&entry.value, format!("`{}` is empty and allows nobody", entry.key), "add one or remove it");
    }
    if let Some(other) = items.iter().find(|item| item.as_text().is_none()) {
        return Err(mistyped(other));
    }
    Ok(items.iter().filter_map(Node::as_text))
}
