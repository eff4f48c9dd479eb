//! What many sessions have in common, kept once: issuers, providers, groups, the names of claims.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::claims::Names;
use crate::{Group, Groups, Principal, ProviderName, Record, Session, Subject};

/// The most entries of each kind. A pool that is full starts over: what is in use then stays where it is.
const MAX_ENTRIES: usize = 8192;
/// The most groups of a subject that are looked up; directories that give more rarely give the same ones.
const MAX_GROUPS: usize = 256;

/// A bounded set of shared parts, for whoever holds many sessions.
#[derive(Debug, Default)]
pub struct Pool {
    texts: HashSet<Arc<str>>,
    groups: HashSet<Arc<Group>>,
    names: HashSet<Arc<Names>>,
}

impl Pool {
    /// The same session, with parts that another one had before in the place of its own.
    pub fn share(&mut self, session: Session) -> Session {
        let Session {
            key,
            version,
            principal: Principal { issuer, subject: sub },
            provider,
            provider_session,
            subject: Subject { user_id, email, name, claims, groups, devices },
            authenticated_at,
            acr,
            last_used,
            expires_at,
            idle,
        } = session;
        let names = keep(&mut self.names, Arc::clone(claims.names()));
        // Nearly always one text: the principal's subject is what the provider calls the user.
        let user_id = if user_id == sub { Arc::clone(&sub) } else { user_id };
        Session {
            key,
            version,
            principal: Principal { issuer: keep(&mut self.texts, issuer), subject: sub },
            provider: ProviderName::new(keep(&mut self.texts, provider.into())),
            provider_session,
            subject: Subject {
                user_id,
                email,
                name,
                claims: claims.with_names(names),
                groups: groups.map(|groups| self.groups(groups)),
                devices,
            },
            authenticated_at,
            acr: acr.map(|acr| keep(&mut self.texts, acr)),
            last_used,
            expires_at,
            idle,
        }
    }

    /// The same record, with a type and names that another one had before in the place of its own.
    pub fn share_record(&mut self, record: Record) -> Record {
        let Record { kind, id, data } = record;
        let names = keep(&mut self.names, Arc::clone(data.names()));
        Record { kind: keep(&mut self.texts, kind), id, data: data.with_names(names) }
    }

    /// The same text, as it was kept before.
    pub fn text(&mut self, text: Arc<str>) -> Arc<str> {
        keep(&mut self.texts, text)
    }

    fn groups(&mut self, groups: Groups) -> Groups {
        if groups.len() > MAX_GROUPS {
            return groups;
        }
        let members = groups.iter().map(|group| keep(&mut self.groups, Arc::clone(group))).collect();
        groups.with_members(members)
    }
}

/// The part that is there already, or this one from now on.
fn keep<T: ?Sized + Eq + Hash>(known: &mut HashSet<Arc<T>>, part: Arc<T>) -> Arc<T> {
    if let Some(kept) = known.get(&part) {
        return Arc::clone(kept);
    }
    if known.len() >= MAX_ENTRIES {
        known.clear();
    }
    known.insert(Arc::clone(&part));
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Claims, SessionKey, Timestamp};

    fn session(person: &str) -> Session {
        let group = |id: &str| Group { id: id.into(), name: "".into(), email: "".into() };
        Session {
            key: SessionKey::from_bytes([1; 32]),
            version: 3,
            principal: Principal { issuer: "https://idp.corp.test".into(), subject: person.into() },
            provider: ProviderName::new("corp"),
            provider_session: Some("sid".into()),
            subject: Subject {
                user_id: person.into(),
                email: "a@corp.test".into(),
                name: "A".into(),
                claims: Claims::from_json(&format!(r#"{{"sub":"{person}","groups":["a","b"]}}"#)).unwrap(),
                groups: Some([group("a"), group("b")].into_iter().collect()),
                devices: Arc::default(),
            },
            authenticated_at: Timestamp::EPOCH,
            acr: Some("1".into()),
            last_used: Timestamp::EPOCH,
            expires_at: Timestamp::EPOCH,
            idle: None,
        }
    }

    #[test]
    fn equal_parts_are_one_and_nothing_else_changes() {
        let mut pool = Pool::default();
        let (alice, bob) = (pool.share(session("alice")), pool.share(session("bob")));
        assert!(Arc::ptr_eq(&alice.principal.issuer, &bob.principal.issuer));
        assert!(Arc::ptr_eq(alice.subject.claims.names(), bob.subject.claims.names()));
        let first = |session: &Session| Arc::clone(session.subject.groups.as_ref().unwrap().first().unwrap());
        assert!(Arc::ptr_eq(&first(&alice), &first(&bob)));
        assert!(Arc::ptr_eq(&alice.principal.subject, &alice.subject.user_id));
        for (shared, person) in [(&alice, "alice"), (&bob, "bob")] {
            assert_eq!(format!("{shared:?}"), format!("{:?}", session(person)));
        }
    }

    #[test]
    fn a_full_pool_starts_over() {
        let mut texts: HashSet<Arc<str>> = HashSet::new();
        for number in 0..=MAX_ENTRIES {
            assert_eq!(*keep(&mut texts, number.to_string().into()), *number.to_string());
        }
        assert_eq!(texts.len(), 1);
    }
}
