//! What the house says of itself: `status`, degradations, decision records.

use portcullis_authn::ReadProvider;
use portcullis_broker::SessionSummary;
use portcullis_identity::SessionKey;
use portcullis_oidc::ProviderStatus;
use portcullis_proxy::UnhealthyUpstream;
use serde_json::{Value, json};

use crate::decisions::Wanted;
use crate::house::{House, ProxyRoom};
use crate::{certificates, decisions};

/// The most sessions one listing shows.
const MAX_LISTED_SESSIONS: usize = 100_000;

impl House {
    /// The status as JSON; the caller adds the configuration's part.
    pub(crate) fn status(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "process": std::process::id(),
            "stage": format!("{:?}", self.readiness().stage()).to_lowercase(),
            "keys": self.ring.load().key_ids().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "replica": self.proxy.as_ref().map(replica),
            "certificates": self.proxy.as_ref().map(served),
            "unhealthy_upstreams": self.proxy.as_ref().map(unhealthy),
            "providers": self.authn.as_ref().map(|authn| authn.providers().iter().map(provider).collect::<Vec<_>>()),
            "degraded": self.degradation(),
        })
    }

    /// What is worse than well without being down.
    pub(crate) fn degradation(&self) -> Vec<String> {
        let cut_off = self.proxy.as_ref().and_then(|room| {
            let status = room.replica.status();
            let bad = status.stale || !status.following;
            bad.then(|| format!("the broker has not been heard for {} s", status.silent_for.as_secs()))
        });
        let providers = self.authn.iter().flat_map(|authn| authn.providers());
        let failing = providers.filter_map(|ReadProvider { name, status }| match status {
            ProviderStatus::Failing { since: _, reason } => Some(format!("provider {name}: {reason}")),
            ProviderStatus::NeverContacted | ProviderStatus::Reachable { .. } => None,
        });
        let unknown = self.proxy.as_ref().filter(|room| reads_records(room) && !room.replica.records_status().known);
        let unknown = unknown.map(|_| "external data is not known: what hangs on it is denied".to_owned());
        let other = self.agreement.differs().then(|| "the broker's host has other shared settings or keys".to_owned());
        let overdue = self.proxy.as_ref().and_then(|room| {
            let snapshot = room.gate.snapshot();
            certificates::overdue(snapshot.config(), self.clock.now()).map(|warning| warning.to_string())
        });
        let ending = self.internal_tls.ending(self.clock.now());
        cut_off.into_iter().chain(unknown).chain(other).chain(overdue).chain(ending).chain(failing).collect()
    }

    /// The live sessions, most recently used first, if this process runs the broker.
    pub(crate) fn sessions(&self) -> Option<Value> {
        let mut sessions = self.store.as_ref()?.sessions(MAX_LISTED_SESSIONS);
        sessions.sort_by_key(|session| std::cmp::Reverse(session.last_used));
        Some(sessions.iter().map(session).collect())
    }

    /// The session that the list shows as `shown`, if this process runs the broker.
    pub(crate) fn shown_session(&self, shown: &str) -> Option<SessionKey> {
        self.store.as_ref()?.shown(shown)
    }

    /// The last decisions, those that are wanted, oldest first, as JSON; `None`: this process does not run the proxy.
    pub(crate) fn decisions(&self, wanted: &Wanted) -> Option<Value> {
        let room = self.proxy.as_ref()?;
        Some(wanted.told(&room.proxy.decisions(decisions::MAX_LOOKED_AT)))
    }

    /// The decision record of a request, as JSON.
    pub(crate) fn decision(&self, request_id: &str) -> Option<Value> {
        let room = self.proxy.as_ref()?;
        let record = room.proxy.decision(request_id)?;
        Some(decisions::explained(&record, &room.gate.snapshot(), room.gate.records().as_deref()))
    }
}

fn session(session: &SessionSummary) -> Value {
    let SessionSummary { key, principal, provider, parent, host, authenticated_at, last_used, expires_at } = session;
    json!({
        "session": key.to_string(),
        "user": &*principal.subject,
        "issuer": &*principal.issuer,
        "provider": provider.as_str(),
        "parent": parent.map(|parent| parent.to_string()),
        "host": host.as_deref(),
        "authenticated_at": authenticated_at.unix_seconds(),
        "last_used": last_used.unix_seconds(),
        "expires_at": expires_at.unix_seconds(),
    })
}

fn replica(room: &ProxyRoom) -> Value {
    let status = room.replica.status();
    let records = room.replica.records_status();
    json!({
        "records": {
            "following": records.following,
            "known": records.known,
            "count": records.records,
            "version": records.version,
            "silent_for_ms": u64::try_from(records.silent_for.as_millis()).unwrap_or(u64::MAX),
        },
        "following": status.following,
        "version": status.version,
        "sessions": status.sessions,
        "bytes": status.bytes,
        "silent_for_ms": u64::try_from(status.silent_for.as_millis()).unwrap_or(u64::MAX),
        "stale": status.stale,
    })
}

/// Whether a policy looks at external data.
fn reads_records(room: &ProxyRoom) -> bool {
    room.gate.snapshot().routes().iter().any(|route| route.policy.reads_records())
}

fn served(room: &ProxyRoom) -> Vec<Value> {
    let snapshot = room.gate.snapshot();
    let ends = certificates::ends(snapshot.config(), None);
    ends.into_iter().map(|(name, not_after)| json!({ "name": name, "not_after": not_after })).collect()
}

fn unhealthy(room: &ProxyRoom) -> Vec<Value> {
    let ill = room.proxy.unhealthy_upstreams().into_iter();
    ill.map(|UnhealthyUpstream { upstream, address, cause }| {
        json!({ "upstream": upstream, "address": address.to_string(), "cause": cause })
    })
    .collect()
}

fn provider(read: &ReadProvider) -> Value {
    let ReadProvider { name, status } = read;
    match status {
        ProviderStatus::NeverContacted => json!({ "name": name.as_str(), "state": "not contacted yet" }),
        ProviderStatus::Reachable { since } => {
            json!({ "name": name.as_str(), "state": "reachable", "since": since.unix_seconds() })
        }
        ProviderStatus::Failing { since, reason } => {
            json!({ "name": name.as_str(), "state": "failing", "since": since.unix_seconds(), "reason": &**reason })
        }
    }
}
