//! What a held session costs, estimated.

use std::mem::size_of;

use portcullis_identity::{ClaimValue, Group, Session};

/// Bytes of a counted pointer's target beside its value.
const ARC: usize = 2 * size_of::<usize>();
/// Bytes of the map's node and table for one key, at its usual load.
const NODE: usize = 128;

/// Bytes that `session` keeps from others, rounded up to what allocators hand out.
pub(super) fn of(session: &Session) -> usize {
    let Session {
        key: _,
        version: _,
        principal,
        provider: _,
        provider_session,
        subject,
        authenticated_at: _,
        acr,
        last_used: _,
        expires_at: _,
        idle: _,
    } = session;
    let texts = [&principal.issuer, &principal.subject, &subject.user_id, &subject.email, &subject.name];
    let texts: usize = texts.into_iter().map(|text| self::text(text)).sum();
    let optional: usize = [provider_session, acr].into_iter().flatten().map(|text| self::text(text)).sum();
    let groups: usize = subject.groups.iter().flat_map(|groups| groups.iter()).map(group).sum();
    let claims: usize = subject
        .claims
        .iter()
        .map(|(name, values)| text(name) + values.iter().map(value).sum::<usize>() + 2 * ARC)
        .sum();
    size_of::<Session>() + ARC + NODE + texts + optional + groups + claims
}

fn text(text: &str) -> usize {
    (ARC + text.len()).next_multiple_of(16)
}

fn group(group: &Group) -> usize {
    let Group { id, name, email } = group;
    size_of::<Group>() + text(id) + text(name) + text(email)
}

fn value(value: &ClaimValue) -> usize {
    size_of::<ClaimValue>() + text(value.as_text())
}
