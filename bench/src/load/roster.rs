//! Everybody who takes part: started, signed in at for real, checked to answer with a session and to refuse without.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_demo::{Client, Provider, ProviderParts};
use tokio::time::Instant;

use super::apache::{self, Registration};
use super::edge::{Edge, start_edge};
use super::entrant::{Credential, Entrant, Name};
use super::envoy::{self, Check, envoy};
use super::nginx::{self, Doors, Sidecar};
use super::rows::Work;
use super::system::{Ground, PUBLIC_HOST, Running, free_address, start};
use super::{haproxy, oauth2_proxy};

const CLIENT: &str = "peers";
const SECRET: &str = "peers-secret";
/// ID tokens of the provider live for five minutes; a window must not see one expire.
const FRESH: Duration = Duration::from_secs(100);

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// Shared files and addresses.
    pub ground: Ground,
    /// The folder of our own programs.
    pub programs: PathBuf,
    /// The core of the systems under test.
    pub system_cpu: usize,
    /// The core of load and origin.
    pub load_cpu: usize,
    /// Whether peers take part, or Portcullis and its baseline alone.
    pub peers: bool,
}

/// A system that does not take part, or not in everything.
#[derive(Clone, Debug)]
pub struct Absent {
    /// Which.
    pub name: Name,
    /// Why.
    pub reason: String,
}

/// All systems and what keeps them alive.
#[derive(Debug)]
pub struct Roster {
    /// Ready for load.
    pub entrants: Vec<Entrant>,
    /// Not here, with the reason.
    pub absent: Vec<Absent>,
    places: Places,
    provider: Provider,
    authority: String,
    renewed: Option<Instant>,
    edge: Option<Edge>,
    running: Vec<Running>,
}

/// The ports of the peers that redirect: the provider must know them before it starts.
struct Addresses {
    apache: std::net::SocketAddr,
    nginx_sidecar: Doors,
    nginx_oauth2_proxy: Doors,
    envoy_sidecar: Doors,
    envoy_own: Doors,
}

impl Addresses {
    fn new() -> io::Result<Self> {
        Ok(Self {
            apache: free_address()?,
            nginx_sidecar: Doors::new()?,
            nginx_oauth2_proxy: Doors::new()?,
            envoy_sidecar: Doors::new()?,
            envoy_own: Doors::new()?,
        })
    }

    fn client(&self) -> Client {
        let uri = |port: u16, path: &str| format!("https://{}:{port}{path}", super::system::CHECKED_HOST);
        Client {
            id: CLIENT.to_owned(),
            secret: SECRET.to_owned(),
            redirect_uris: vec![
                uri(self.apache.port(), apache::CALLBACK),
                uri(self.nginx_sidecar.tls.port(), apache::CALLBACK),
                uri(self.envoy_sidecar.tls.port(), apache::CALLBACK),
                uri(self.nginx_oauth2_proxy.tls.port(), oauth2_proxy::CALLBACK),
                uri(self.envoy_own.tls.port(), envoy::CALLBACK),
            ],
            post_logout_redirect_uris: Vec::new(),
        }
    }
}

impl Roster {
    /// Starts origin, provider and every system that is here.
    ///
    /// # Errors
    /// Our own programs or the origin do not start; what a peer lacks is no error but an absence.
    pub async fn assemble(places: Places) -> io::Result<Self> {
        let addresses = Addresses::new()?;
        let provider = Provider::start(ProviderParts::on_any_port(vec![addresses.client()])).await?;
        let authority = fs::read_to_string(&places.ground.certificate)?;
        let edge = start_edge(&places.ground, &places.programs.join("portcullis"), places.system_cpu).await?;
        let mut roster = Self {
            entrants: Vec::new(),
            absent: Vec::new(),
            places,
            provider,
            authority,
            renewed: None,
            edge: Some(edge),
            running: Vec::new(),
        };
        roster.origin()?;
        roster.ours()?;
        if roster.places.peers {
            roster.without_check()?;
            roster.with_check_beside(&addresses);
            roster.with_own_check(&addresses);
        }
        Ok(roster)
    }

    /// Signs in again everywhere if the last time is long ago.
    ///
    /// A system whose first sign-in fails becomes absent.
    pub async fn renew(&mut self) {
        if self.renewed.is_some_and(|last| last.elapsed() < FRESH) {
            return;
        }
        let mut kept = Vec::new();
        for mut entrant in std::mem::take(&mut self.entrants) {
            match self.credential_of(&entrant).await {
                Ok(headers) => {
                    entrant.headers = headers;
                    kept.push(entrant);
                }
                Err(error) => {
                    self.absent.push(Absent { name: entrant.name, reason: format!("no sign-in: {error}") });
                }
            }
        }
        self.entrants = kept;
        self.renewed = Some(Instant::now());
    }

    /// Asks every system once with its credential and once without; who does not do what it should becomes absent.
    ///
    /// # Errors
    /// No client could be made.
    pub async fn check(&mut self) -> io::Result<()> {
        let mut kept = Vec::new();
        for entrant in std::mem::take(&mut self.entrants) {
            match super::honest::check(&entrant, &self.authority).await {
                Ok(()) => kept.push(entrant),
                Err(reason) => self.absent.push(Absent { name: entrant.name, reason: reason.to_string() }),
            }
        }
        self.entrants = kept;
        Ok(())
    }

    /// The process of Portcullis.
    #[must_use]
    pub fn portcullis(&self) -> Option<u32> {
        self.edge.as_ref().map(|edge| edge.running.pid())
    }

    async fn credential_of(&self, entrant: &Entrant) -> io::Result<Vec<(String, String)>> {
        Ok(vec![match entrant.credential {
            Credential::Session(path) => entrant.sign_in(&self.authority, path).await?,
            Credential::Token => {
                let issued = self.provider.issued_secrets();
                let token = issued.iter().rev().find(|secret| secret.split('.').count() == 3);
                let token = token.ok_or_else(|| io::Error::other("nobody signed in before"))?;
                ("authorization".to_owned(), format!("Bearer {token}"))
            }
            // As long as a session cookie of Portcullis.
            Credential::Nothing => ("cookie".to_owned(), format!("visit={}", "v".repeat(90))),
        }])
    }

    fn origin(&mut self) -> io::Result<()> {
        let Places { ground, programs, load_cpu, .. } = &self.places;
        let origin = nginx::origin(ground, *load_cpu)?;
        let words = ["origin".to_owned(), ground.socket.to_string(), ground.unary.to_string()];
        let echo = start(*load_cpu, &programs.join("drive"), &words, ground.unary)?;
        self.running.extend([origin, echo]);
        Ok(())
    }

    fn ours(&mut self) -> io::Result<()> {
        let Places { ground, programs, system_cpu, .. } = &self.places;
        let doors = Doors::new()?;
        let Ground { folder: _, certificate, key, origin, socket, unary } = ground;
        let words = [
            doors.tls.to_string(),
            certificate.display().to_string(),
            key.display().to_string(),
            origin.to_string(),
            doors.plain.to_string(),
            socket.to_string(),
            unary.to_string(),
        ];
        let bare = start(*system_cpu, &programs.join("pass_through"), &words, doors.tls)?;
        for name in [Name::Bare, Name::BareAgain] {
            let mut entrant = Entrant::new(name, &[&bare], Credential::Nothing);
            (entrant.plain, entrant.host) = (Some(doors.plain), PUBLIC_HOST);
            self.entrants.push(entrant);
        }
        self.running.push(bare);
        if let Some(edge) = &self.edge {
            let mut public = Entrant::new(Name::Public, &[&edge.running], Credential::Nothing);
            public.host = PUBLIC_HOST;
            self.entrants.push(public);
            self.entrants.push(Entrant::new(Name::Checked, &[&edge.running], Credential::Session("/page")));
        }
        Ok(())
    }

    fn without_check(&mut self) -> io::Result<()> {
        let (ground, cpu) = (self.places.ground.clone(), self.places.system_cpu);
        let mut enter = |name, start: &dyn Fn(Doors) -> io::Result<Running>| {
            let doors = Doors::new()?;
            self.enter(name, start(doors).map(|running| vec![running]), Some(doors), Credential::Nothing);
            io::Result::Ok(())
        };
        enter(Name::Nginx, &|doors| nginx::plain(&ground, cpu, doors))?;
        enter(Name::NginxResponder, &|doors| nginx::with_responder(&ground, cpu, doors))?;
        enter(Name::Envoy, &|doors| envoy(&ground, "envoy", cpu, doors, Check::Nothing))?;
        enter(Name::Haproxy, &|doors| haproxy::plain(&ground, cpu, doors))?;
        let doors = Doors::new()?;
        let started = nginx::responder(&ground, "responder", cpu).and_then(|responder| {
            let front = envoy(&ground, "envoy-responder", cpu, doors, Check::Responder(responder.address))?;
            Ok(vec![front, responder])
        });
        self.enter(Name::EnvoyResponder, started, Some(doors), Credential::Nothing);
        Ok(())
    }

    fn with_check_beside(&mut self, addresses: &Addresses) {
        let (ground, cpu) = (self.places.ground.clone(), self.places.system_cpu);
        let issuer = self.provider.issuer().to_owned();
        let who = Registration { issuer: &issuer, client: CLIENT, secret: SECRET };
        let both = |sidecar: io::Result<(Running, Sidecar)>, front: &dyn Fn(Sidecar) -> io::Result<Running>| {
            let (beside, sidecar) = sidecar?;
            Ok(vec![front(sidecar)?, beside])
        };

        let doors = addresses.nginx_sidecar;
        let started = both(apache::sidecar(&ground, cpu, doors.tls.port(), who), &|sidecar| {
            nginx::with_sidecar(&ground, cpu, doors, sidecar)
        });
        self.enter(Name::NginxSidecar, started, Some(doors), Credential::Session(apache::SIGN_IN));

        let doors = addresses.nginx_oauth2_proxy;
        let started = both(oauth2_proxy::sidecar(&ground, cpu, doors.tls.port(), who), &|sidecar| {
            nginx::with_sidecar(&ground, cpu, doors, sidecar)
        });
        self.enter(Name::NginxOauth2Proxy, started, Some(doors), Credential::Session(oauth2_proxy::SIGN_IN));

        let doors = addresses.envoy_sidecar;
        let started = both(apache::sidecar(&ground, cpu, doors.tls.port(), who), &|sidecar| {
            envoy(&ground, "envoy-sidecar", cpu, doors, Check::Sidecar(sidecar))
        });
        self.enter(Name::EnvoySidecar, started, Some(doors), Credential::Session(apache::SIGN_IN));
        // The request's own method goes to the check, and Apache answers POST for a file with 405.
        self.lack(Name::EnvoySidecar, &[Work::Upload, Work::Unary], "the sidecar's page answers GET alone");
    }

    fn with_own_check(&mut self, addresses: &Addresses) {
        let (ground, cpu) = (self.places.ground.clone(), self.places.system_cpu);
        let issuer = self.provider.issuer().to_owned();
        let who = Registration { issuer: &issuer, client: CLIENT, secret: SECRET };

        let started = apache::proxy(&ground, cpu, addresses.apache, who);
        self.enter(Name::Apache, started.map(|running| vec![running]), None, Credential::Session("/page"));
        self.lack(Name::Apache, &[Work::Unary], "mod_proxy_http2 passes no trailers");

        let doors = addresses.envoy_own;
        let started = envoy(&ground, "envoy-own", cpu, doors, Check::Own(who));
        self.enter(Name::EnvoyOwn, started.map(|running| vec![running]), Some(doors), Credential::Session("/page"));

        // After those whose sign-ins bring the token.
        let started = Doors::new()
            .and_then(|doors| Ok((vec![envoy(&ground, "envoy-jwt", cpu, doors, Check::Jwt(&issuer))?], doors)));
        match started {
            Ok((running, doors)) => self.enter(Name::EnvoyJwt, Ok(running), Some(doors), Credential::Token),
            Err(error) => self.enter(Name::EnvoyJwt, Err(error), None, Credential::Token),
        }
    }

    fn enter(&mut self, name: Name, started: io::Result<Vec<Running>>, doors: Option<Doors>, credential: Credential) {
        match started {
            Ok(running) => {
                let mut entrant = Entrant::new(name, &running.iter().collect::<Vec<_>>(), credential);
                entrant.plain = doors.map(|doors| doors.plain);
                self.entrants.push(entrant);
                self.running.extend(running);
            }
            Err(error) => self.absent.push(Absent { name, reason: error.to_string() }),
        }
    }

    fn lack(&mut self, name: Name, works: &[Work], reason: &'static str) {
        for entrant in self.entrants.iter_mut().filter(|entrant| entrant.name == name) {
            entrant.lacks.extend(works.iter().map(|work| (*work, reason)));
        }
    }
}
