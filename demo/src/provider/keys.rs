//! The provider's signing keys: ES256, replaceable at run time.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value, json};

use crate::site::hex;

/// What becomes of the old keys when new ones are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldKeys {
    /// Still published, no longer used.
    Kept,
    /// Gone: what they signed can no longer be checked.
    Dropped,
}

/// The keys; the first signs, all are published.
pub(crate) struct SigningKeys(Vec<SigningKey>);

struct SigningKey {
    id: String,
    sign: EncodingKey,
    x: String,
    y: String,
}

impl SigningKeys {
    /// One fresh key.
    pub(crate) fn generate() -> Result<Self, Unspecified> {
        Ok(Self(vec![SigningKey::generate()?]))
    }

    /// A fresh key in front.
    pub(crate) fn rotate(&mut self, old: OldKeys) -> Result<(), Unspecified> {
        let fresh = SigningKey::generate()?;
        if old == OldKeys::Dropped {
            self.0.clear();
        }
        self.0.insert(0, fresh);
        Ok(())
    }

    /// A signed JWT of `claims`; `None` if there is no key, which does not happen.
    pub(crate) fn sign(&self, claims: &Map<String, Value>) -> Option<String> {
        let key = self.0.first()?;
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &key.sign).ok()
    }

    /// The claims of a token of ours, however old it is (an `id_token_hint` may have expired).
    pub(crate) fn recognise(&self, token: &str) -> Option<Map<String, Value>> {
        let mut rules = Validation::new(Algorithm::ES256);
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        self.0.iter().find_map(|key| {
            let check = DecodingKey::from_ec_components(&key.x, &key.y).ok()?;
            jsonwebtoken::decode::<Map<String, Value>>(token, &check, &rules).ok().map(|token| token.claims)
        })
    }

    /// The JWK set.
    pub(crate) fn published(&self) -> Value {
        let keys: Vec<Value> = self.0.iter().map(SigningKey::published).collect();
        json!({ "keys": keys })
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl SigningKey {
    fn generate() -> Result<Self, Unspecified> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let private = pair.to_pkcs8v1()?;
        // X9.62 uncompressed: 04 | x (32) | y (32).
        let (_form, point) = pair.public_key().as_ref().split_first().ok_or(Unspecified)?;
        let (x, y) = point.split_at_checked(32).ok_or(Unspecified)?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, point);
        let id = hex(digest.as_ref().get(..6).unwrap_or_default());
        Ok(Self {
            id: format!("demo-{id}"),
            sign: EncodingKey::from_ec_der(private.as_ref()),
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        })
    }

    fn published(&self) -> Value {
        let Self { id, sign: _, x, y } = self;
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y })
    }
}
