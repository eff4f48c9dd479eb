//! Checks the signed assertion as an upstream should: by the key set of the route's own host, and nobody else's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use portcullis_identity::Timestamp;
use serde_json::{Map, Value, json};
use url::Url;

use super::Trust;
use crate::loopback::Loopback;

/// How long a fetched key set is used.
const KEYS_LIFE: Duration = Duration::from_secs(60);
/// The longest a fetch may take.
const FETCH_DEADLINE: Duration = Duration::from_secs(5);
/// How far clocks may differ.
const LEEWAY_SECONDS: u64 = 5;

/// What became of an assertion.
#[derive(Clone, Debug)]
pub(super) enum Judgement {
    /// None arrived.
    Absent,
    /// Signature, audience, issuer and time are right.
    Verified(Map<String, Value>),
    /// Nobody looked: there is no way to the keys.
    Unchecked(Map<String, Value>),
    /// It is not to be believed, or could not be checked.
    Rejected(String),
}

impl Judgement {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Absent => json!({ "state": "absent" }),
            Self::Verified(claims) => json!({ "state": "verified", "claims": claims }),
            Self::Unchecked(claims) => json!({ "state": "unchecked", "claims": claims }),
            Self::Rejected(reason) => json!({ "state": "rejected", "reason": reason }),
        }
    }
}

/// Why assertions can never be checked here.
#[derive(Debug, thiserror::Error)]
pub(super) enum VerifierUnusable {
    #[error("the route's origin is no URL")]
    Route(#[from] url::ParseError),
    #[error("the certificate authority cannot be used")]
    Authority(#[from] reqwest::Error),
}

/// Fetches the key set and judges.
#[derive(Debug)]
pub(super) struct Verifier {
    host: String,
    source: Option<Source>,
    // A lock around a clone: readers take a copy, nobody waits while holding it.
    keys: Mutex<Option<(Timestamp, JwkSet)>>,
}

#[derive(Debug)]
struct Source {
    client: reqwest::Client,
    url: Url,
}

impl Verifier {
    pub(super) fn new(route: &str, trust: &Trust) -> Result<Self, VerifierUnusable> {
        let url = Url::parse(route)?.join("/.well-known/portcullis/jwks.json")?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let source = match trust {
            Trust::Nobody => None,
            Trust::Authority(pem) => {
                let client = reqwest::Client::builder()
                    .tls_certs_only(reqwest::Certificate::from_pem_bundle(pem.as_bytes())?)
                    .dns_resolver(Arc::new(Loopback))
                    .no_proxy()
                    .timeout(FETCH_DEADLINE)
                    .build()?;
                Some(Source { client, url })
            }
        };
        Ok(Self { host, source, keys: Mutex::new(None) })
    }

    pub(super) async fn judge(&self, assertion: &str, now: Timestamp) -> Judgement {
        let Some(source) = &self.source else {
            return unchecked(assertion);
        };
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((fetched, keys)) = known
            && now.since(fetched) < KEYS_LIFE
            && let Ok(claims) = self.verify(assertion, &keys)
        {
            return Judgement::Verified(claims);
        }
        // Unknown or old keys: one look at the source decides.
        let keys = match source.fetch().await {
            Ok(keys) => keys,
            Err(error) => return Judgement::Rejected(format!("the key set could not be fetched: {error}")),
        };
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, keys.clone()));
        self.verify(assertion, &keys).map_or_else(Judgement::Rejected, Judgement::Verified)
    }

    fn verify(&self, assertion: &str, keys: &JwkSet) -> Result<Map<String, Value>, String> {
        let header = jsonwebtoken::decode_header(assertion).map_err(|error| error.to_string())?;
        let key = header.kid.as_deref().and_then(|id| keys.find(id)).ok_or("signed by a key that is not published")?;
        let key = DecodingKey::from_jwk(key).map_err(|error| error.to_string())?;
        let mut rules = Validation::new(Algorithm::ES256);
        rules.leeway = LEEWAY_SECONDS;
        rules.set_audience(&[&self.host]);
        rules.set_issuer(&[self.host.clone(), format!("https://{}/", self.host)]);
        rules.set_required_spec_claims(&["exp", "aud", "iss"]);
        let token = jsonwebtoken::decode::<Map<String, Value>>(assertion, &key, &rules);
        token.map(|token| token.claims).map_err(|error| error.to_string())
    }
}

impl Source {
    async fn fetch(&self) -> Result<JwkSet, reqwest::Error> {
        self.client.get(self.url.clone()).send().await?.error_for_status()?.json().await
    }
}

fn unchecked(assertion: &str) -> Judgement {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Map<String, Value>>(assertion);
    claims.map_or_else(|error| Judgement::Rejected(error.to_string()), |token| Judgement::Unchecked(token.claims))
}
