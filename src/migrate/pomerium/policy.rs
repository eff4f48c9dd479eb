//! The policy language is the same; what we do not know in it is replaced so that nobody gains access by that.

use std::sync::Arc;

use portcullis_policy::{Diagnostic, compile_policy, yaml};

use super::around::Around;
use crate::migrate::emit;
use crate::migrate::findings::Weight;
use crate::migrate::scope::Scope;
use crate::migrate::tree::{Member, Remarks, Tree, Value};

type Route<'s> = Scope<'s, Arc<Around>>;

/// `policy`, with every criterion that our language does not have replaced by a constant.
pub(crate) fn policy(scope: &mut Route<'_>, member: &Member) {
    let mut tree = Tree { remarks: Remarks::default(), ..member.value.clone() };
    if compile(&tree).is_err() {
        replace(scope, member, &mut tree);
    }
    match compile(&tree) {
        Ok(()) => scope.out.set("policy", tree.with_remarks_of(&member.value)),
        Err(error) => {
            let why = format!("is not the policy language ({}), so nobody passes", error.message);
            scope.protects(member, &why, "docs/policy.md");
            shut(scope);
        }
    }
}

/// Policies of a console: they restrict, and their language is another.
pub(crate) fn sub_policies(scope: &mut Route<'_>, member: &Member) {
    if member.value.is_off() {
        return;
    }
    scope.protects(member, "policies of the console are not read, so nobody passes", "policy");
    shut(scope);
}

/// Nobody passes, until somebody says who may.
fn shut(scope: &mut Route<'_>) {
    scope.out.set("policy", nobody());
}

/// A policy that permits nobody, whatever the shorthand beside it says.
pub(crate) fn nobody() -> Tree {
    let accept = Tree::list(vec![Tree::map([("accept", Tree::boolean(true))])]);
    let deny = Tree::map([("deny", Tree::map([("or", accept)]))]).flowing();
    Tree::list(vec![flowing(deny)]).remarked("migrate: a restriction could not be said; nobody passes until it is.")
}

fn flowing(mut tree: Tree) -> Tree {
    tree.flow = true;
    tree.value = match tree.value {
        Value::List(items) => Value::List(items.into_iter().map(flowing).collect()),
        Value::Map(members) => {
            Value::Map(members.into_iter().map(|one| Member { value: flowing(one.value), ..one }).collect())
        }
        scalar @ (Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Text(_)) => scalar,
    };
    tree
}

fn compile(tree: &Tree) -> Result<(), Diagnostic> {
    compile_policy(&yaml::parse(&emit::value(tree))?).map(|_compiled| ())
}

/// Walks rules, actions and operators down to the criteria. What is shaped otherwise is left to the compiler.
fn replace(scope: &mut Route<'_>, policy: &Member, tree: &mut Tree) {
    let rules: &mut [Tree] = match &mut tree.value {
        Value::List(rules) => rules,
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
            std::slice::from_mut(tree)
        }
    };
    for rule in rules {
        let Value::Map(actions) = &mut rule.value else { continue };
        for action in actions {
            let denies = action.key == "deny";
            let Value::Map(operators) = &mut action.value.value else { continue };
            for operator in operators {
                let negates = matches!(operator.key.as_str(), "not" | "nor");
                let Value::List(criteria) = &mut operator.value.value else { continue };
                for criterion in criteria {
                    self::criterion(scope, policy, criterion, Position { denies, negates });
                }
            }
        }
    }
}

/// Where a criterion stands.
#[derive(Clone, Copy)]
struct Position {
    denies: bool,
    negates: bool,
}

fn criterion(scope: &mut Route<'_>, policy: &Member, tree: &mut Tree, at: Position) {
    let alone = Tree::map([("allow", Tree::map([("or", Tree::list(vec![tree.clone()]))]))]);
    let Err(error) = compile(&alone) else { return };
    let Some(name) = tree.members().first().map(|member| member.key.clone()) else { return };
    let place = tree.members().first().and_then(|member| member.place.clone());
    let member =
        Member { key: format!("policy: {name}"), place: place.or_else(|| policy.place.clone()), value: tree.clone() };
    let ssh = name.starts_with("ssh_");
    let (constant, weight, why) = match at {
        // The reference answers `false` for a request that did not come by SSH, as all of ours.
        _ if ssh => {
            ("reject", if at.denies { Weight::Protects } else { Weight::Lost }, "never holds outside SSH".to_owned())
        }
        // In an allow, the constant that narrows; in a deny, the one that widens: whatever the criterion would have
        // said, nobody passes who did not before.
        Position { denies, negates } => {
            let constant = if denies == negates { "reject" } else { "accept" };
            let weight = if denies { Weight::Protects } else { Weight::Lost };
            (constant, weight, format!("{}; replaced so that it lets nobody in", error.message))
        }
    };
    scope.find(weight, &member, (&why, "docs/policy.md"));
    let remark = format!("migrate: in place of `{name}`");
    *tree = Tree::map([(constant, Tree::boolean(true))]).with_remarks_of(tree).remarked(&remark);
}
