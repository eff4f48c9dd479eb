//! What a held session costs, estimated.

use std::mem::size_of;

use portcullis_identity::Session;

/// Bytes of a counted pointer's target beside its value.
const ARC: usize = 2 * size_of::<usize>();
/// Bytes of the map's node and table for one key, at its usual load.
const NODE: usize = 192;

/// Bytes that `session` keeps from others, rounded up to what allocators hand out. What a
/// [`portcullis_identity::Pool`] shares is nobody's own.
pub(super) fn of(session: &Session) -> usize {
    let Session {
        key: _,
        version: _,
        principal,
        provider: _,
        provider_session,
        subject,
        authenticated_at: _,
        acr: _,
        last_used: _,
        expires_at: _,
        idle: _,
    } = session;
    let texts = [&principal.subject, &subject.email, &subject.name];
    let texts: usize = texts.into_iter().chain(provider_session).map(|text| self::text(text)).sum();
    let user = if principal.subject == subject.user_id { 0 } else { text(&subject.user_id) };
    let groups = subject.groups.as_ref().map_or(0, |groups| 2 * ARC + groups.own_bytes());
    let claims = (subject.claims.own_bytes() + 2 * ARC).next_multiple_of(16);
    size_of::<Session>() + ARC + NODE + texts + user + groups + claims
}

fn text(text: &str) -> usize {
    (ARC + text.len()).next_multiple_of(16)
}
