//! A small real OpenID Provider: authorization code with PKCE, refresh, revocation, sign-out, and faults on demand.
//!
//! It never leaves the loopback interface and keeps nothing on disk. What it does not offer (implicit flow,
//! dynamic registration, request objects) it refuses rather than half does.

mod authorize;
mod faults;
mod keys;
mod ledger;
mod logout;
mod pages;
mod people;
mod token;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::error::Unspecified;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use portcullis_identity::{Clock, SystemClock};
use serde_json::json;

pub use faults::Fault;
pub use keys::OldKeys;
pub use people::Person;

use self::faults::Faults;
use self::keys::SigningKeys;
use self::ledger::Ledger;
use crate::site::{Answer, Server, Site, answer, json};

/// A relying party that the provider knows.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`.
    pub secret: String,
    /// Where codes may be sent; compared as text (RFC 9700 2.1).
    pub redirect_uris: Vec<String>,
    /// Where the browser may be sent after a sign-out.
    pub post_logout_redirect_uris: Vec<String>,
}

impl Client {
    /// Portcullis on the sign-in host whose origin is `https://host:port`.
    #[must_use]
    pub fn confidential(id: &str, secret: &str, origin: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            redirect_uris: vec![format!("{origin}/.portcullis/oidc/callback")],
            post_logout_redirect_uris: vec![format!("{origin}/.portcullis/signed_out"), format!("{origin}/")],
        }
    }
}

/// What a provider is made of.
#[derive(Debug)]
pub struct ProviderParts {
    /// Where it listens; loopback.
    pub address: SocketAddr,
    /// Who may ask it.
    pub clients: Vec<Client>,
    /// Who may sign in.
    pub people: Vec<Person>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl ProviderParts {
    /// The people of the tour on any free loopback port.
    #[must_use]
    pub fn on_any_port(clients: Vec<Client>) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { address, clients, people: Person::of_the_tour(), clock: Arc::new(SystemClock) }
    }
}

/// A running provider; dropping it stops it.
#[derive(Debug)]
pub struct Provider {
    issuer: String,
    house: Arc<House>,
    server: Server,
}

impl Provider {
    /// Starts a provider; fails if the address is taken or no key can be made.
    pub async fn start(parts: ProviderParts) -> io::Result<Self> {
        let ProviderParts { address, clients, people, clock } = parts;
        let bound = Server::bind(address).await?;
        let issuer = format!("http://{}", bound.address());
        let house = Arc::new(House {
            issuer: issuer.clone(),
            clients,
            clock,
            faults: Faults::default(),
            people: Mutex::new(people),
            keys: Mutex::new(SigningKeys::generate().map_err(no_randomness)?),
            ledger: Mutex::new(Ledger::default()),
        });
        let server = bound.serve(Arc::clone(&house));
        Ok(Self { issuer, house, server })
    }

    /// The issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Breaks something until [`Provider::heal`].
    pub fn inject(&self, fault: Fault) {
        self.house.faults.inject(fault);
    }

    /// Repairs everything.
    pub fn heal(&self) {
        self.house.faults.heal();
    }

    /// New signing keys from now on.
    pub fn rotate_keys(&self, old: OldKeys) -> io::Result<()> {
        self.house.keys().rotate(old).map_err(no_randomness)
    }

    /// Replaces the account with the same subject, or adds one.
    pub fn put_person(&self, person: Person) {
        let mut people = self.house.people();
        people.retain(|known| known.subject != person.subject);
        people.push(person);
    }

    /// How often a password was accepted.
    #[must_use]
    pub fn sign_ins(&self) -> u64 {
        self.house.ledger().sign_ins
    }

    /// Every code, token and cookie given out so far, for tests that look for them where they must not be.
    #[must_use]
    pub fn issued_secrets(&self) -> Vec<String> {
        self.house.ledger().issued.clone()
    }
}

fn no_randomness(_: Unspecified) -> io::Error {
    io::Error::other("no key could be made")
}

/// What the endpoints share.
#[derive(Debug)]
struct House {
    issuer: String,
    clients: Vec<Client>,
    clock: Arc<dyn Clock>,
    faults: Faults,
    // Locks because tests change these from outside; each is held for a few lines and never while waiting.
    people: Mutex<Vec<Person>>,
    keys: Mutex<SigningKeys>,
    ledger: Mutex<Ledger>,
}

impl House {
    fn people(&self) -> MutexGuard<'_, Vec<Person>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> MutexGuard<'_, SigningKeys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    fn person(&self, subject: &str) -> Option<Person> {
        self.people().iter().find(|person| person.subject == subject && person.enabled).cloned()
    }

    /// The discovery document (OpenID Connect Discovery 3, RFC 8414, RFC 9207).
    fn discovery(&self) -> Answer {
        let issuer = &self.issuer;
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/jwks"),
            "revocation_endpoint": format!("{issuer}/revoke"),
            "end_session_endpoint": format!("{issuer}/logout"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "scopes_supported": ["openid", "profile", "email", "groups", "offline_access"],
            "claims_supported": ["sub", "sid", "name", "preferred_username", "email", "email_verified", "groups"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "select_account"],
            "acr_values_supported": ["urn:portcullis:demo:password"],
            "authorization_response_iss_parameter_supported": true,
        });
        json(StatusCode::OK, &document)
    }
}

impl Site for House {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        if let Some(fault) = self.faults.at(&path) {
            tokio::time::sleep(fault.delay).await;
            if let Some(status) = fault.status {
                return answer(status, "text/plain; charset=utf-8", "fault injected\n");
            }
        }
        match (request.method(), path.as_str()) {
            (&Method::GET, "/.well-known/openid-configuration") => self.discovery(),
            (&Method::GET, "/jwks") => json(StatusCode::OK, &self.keys().published()),
            (&Method::GET | &Method::POST, "/authorize") => self.authorize(request).await,
            (&Method::POST, "/token") => self.token(request).await,
            (&Method::GET | &Method::POST, "/userinfo") => self.userinfo(&request),
            (&Method::POST, "/revoke") => self.revoke(request).await,
            (&Method::GET | &Method::POST, "/logout") => self.logout(request).await,
            (&Method::GET, "/style.css") => {
                answer(StatusCode::OK, "text/css; charset=utf-8", include_str!("../../assets/provider.css"))
            }
            (&Method::GET, "/") => pages::welcome(&self.people()),
            _ => pages::problem(StatusCode::NOT_FOUND, "There is no such page at this provider."),
        }
    }
}

/// 32 random bytes as text: codes, tokens, cookies.
fn unguessable() -> Result<String, Unspecified> {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;
