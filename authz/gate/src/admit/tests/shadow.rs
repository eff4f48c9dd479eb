//! A policy on trial: what it would answer, to whom, and when there is nothing to compare.

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::{PathPattern, Route};
use portcullis_identity::{Needs, Session};
use portcullis_policy::Reason;

use super::{ALL, KIM, LEE, gate, signed_in, with_view};
use crate::sample::{NOW, policy, prefix, route, session};
use crate::{Answer, Gate, Presented, Shadowed, Snapshot, sample};

const NONE: &str = "allow: {and: [reject: true]}";

fn tried(live: &str, shadow: &str) -> Route {
    Route { shadow: Some(policy(shadow)), ..route("a.test", PathPattern::Any, &policy(live)) }
}

fn shadow(gate: &Gate, target: &str, presented: &Presented) -> Option<Shadowed> {
    with_view(gate, target, |view| {
        let verdict = gate.admit(view, presented, NOW);
        gate.shadow(&verdict, view, presented, NOW)
    })
}

fn answers(route: Route, presented: &Presented) -> Option<(Answer, Answer)> {
    shadow(&gate(vec![route]), "/", presented).map(|Shadowed { live, shadow, decision: _ }| (live, shadow))
}

fn kim() -> Presented {
    signed_in(session("kim@corp.test", "{}"))
}

#[test]
fn the_shadow_answers_beside_the_live_policy() {
    use Answer::{Challenge, Deny, Permit};
    for (live, on_trial, presented, expected) in [
        (KIM, KIM, kim(), (Permit, Permit)),
        (KIM, LEE, kim(), (Permit, Deny)),
        (LEE, KIM, kim(), (Deny, Permit)),
        (ALL, KIM, Presented::Anonymous, (Permit, Challenge)),
        (KIM, ALL, Presented::Anonymous, (Challenge, Permit)),
        (NONE, KIM, Presented::Rejected, (Deny, Challenge)),
        (KIM, NONE, Presented::Rejected, (Challenge, Deny)),
        (NONE, NONE, Presented::Anonymous, (Deny, Deny)),
    ] {
        let answered = answers(tried(live, on_trial), &presented);
        assert_eq!(answered, Some(expected), "{live} beside {on_trial}");
        assert_eq!(
            shadow(&gate(vec![tried(live, on_trial)]), "/", &presented).map(|shadowed| shadowed.differs()),
            Some(expected.0 != expected.1)
        );
    }
}

#[test]
fn the_live_verdict_is_the_same_with_and_without_a_shadow() {
    for presented in [kim(), Presented::Anonymous] {
        for live in [KIM, LEE, ALL, NONE] {
            let alone = gate(vec![route("a.test", PathPattern::Any, &policy(live))]);
            let beside = gate(vec![tried(live, if live == ALL { NONE } else { ALL })]);
            let [alone, beside] =
                [alone, beside].map(|gate| with_view(&gate, "/", |view| gate.admit(view, &presented, NOW)));
            assert_eq!((alone.answer(), alone.decision()), (beside.answer(), beside.decision()), "{live}");
        }
    }
}

#[test]
fn the_shadow_says_why() {
    let shadowed = shadow(&gate(vec![tried(ALL, LEE)]), "/", &kim()).unwrap();
    assert_eq!(shadowed.decision.rule, None);
    assert_eq!(shadowed.decision.reasons.iter().collect::<Vec<_>>(), [Reason::DomainUnauthorized.as_str()]);
    let shadowed = shadow(&gate(vec![tried(LEE, KIM)]), "/", &kim()).unwrap();
    assert_eq!(shadowed.decision.rule, Some(0));
}

#[test]
fn a_route_without_a_shadow_has_nothing_to_compare() {
    let bare = route("a.test", PathPattern::Any, &policy(KIM));
    assert_eq!(answers(bare, &kim()), None);
    assert_eq!(answers(tried(KIM, LEE), &Presented::Unavailable), None, "who asks is not known");
    let gate = gate(vec![tried(KIM, LEE)]);
    assert_eq!(shadow(&gate, "/a%2Fb", &kim()), None, "refused before any policy was asked");
    assert!(shadow(&gate, "/ab", &kim()).is_some());
}

#[test]
fn needs_count_for_the_shadow_too() {
    let minute = Duration::from_secs(60);
    let fresh = Needs { max_age: Some(minute), ..Needs::default() };
    let route = Route { needs: fresh, ..tried(ALL, KIM) };
    let old = session("kim@corp.test", "{}");
    assert!(NOW.since(old.authenticated_at) >= minute, "the sample signed in long ago");
    assert_eq!(answers(route, &signed_in(old.clone())), Some((Answer::Permit, Answer::Challenge)));
    let fresh = Needs { max_age: Some(minute), ..Needs::default() };
    let route = Route { needs: fresh, ..tried(ALL, KIM) };
    let new = Session { authenticated_at: NOW, ..old };
    assert_eq!(answers(route, &signed_in(new)), Some((Answer::Permit, Answer::Permit)));
}

#[test]
fn both_readings_of_a_path_with_parameters_count() {
    let on_trial = "- allow: {and: [accept: true]}\n- deny: {or: [http_path: /admin]}";
    let gate = gate(vec![tried(ALL, on_trial)]);
    let answer = |target| shadow(&gate, target, &kim()).map(|shadowed| shadowed.shadow);
    assert_eq!(answer("/admin"), Some(Answer::Deny));
    assert_eq!(answer("/admin;a=1"), Some(Answer::Deny));
    assert_eq!(answer("/other;a=1"), Some(Answer::Permit));
    // What another route serves without the parameters is refused by both alike.
    let elsewhere = route("a.test", prefix("/x/"), &policy(ALL));
    let gate = self::gate(vec![elsewhere, tried(ALL, ALL)]);
    let shadowed = shadow(&gate, "/x;a/y", &kim()).unwrap();
    assert_eq!((shadowed.live, shadowed.shadow), (Answer::Deny, Answer::Deny));
}

#[test]
fn a_generation_that_is_gone_is_not_compared() {
    let gate = gate(vec![tried(KIM, LEE)]);
    with_view(&gate, "/", |view| {
        let verdict = gate.admit(view, &kim(), NOW);
        assert!(gate.shadow(&verdict, view, &kim(), NOW).is_some());
        let next = portcullis_config::Config {
            generation: portcullis_config::Generation([8; 32]),
            ..sample::config(vec![tried(KIM, LEE)])
        };
        gate.publish(Snapshot::build(&Arc::new(next), None).unwrap());
        assert!(gate.shadow(&verdict, view, &kim(), NOW).is_none());
    });
}
