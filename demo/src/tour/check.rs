//! The unattended tour: the five things to try, each with what must be seen.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, interval, timeout};

use super::browser::{Browser, BrowserError};
use super::page::Page;
use super::{Demo, HELLO_HOST, VAULT_HOST};

/// How long something that the proxy does by itself may take: a reload, the end of a stream.
const PATIENCE: Duration = Duration::from_secs(10);
/// From one look to the next while waiting for that.
const GLANCE: Duration = Duration::from_millis(50);

/// What the tour does that only the operator of the proxy can; the root passes it in.
pub trait Operator: Send + Sync {
    /// What `portcullis explain` prints for a request id.
    fn explain(&self, request_id: &str) -> impl Future<Output = Result<String, String>> + Send;

    /// Ends all sessions of a user (`sub`); answers how many there were.
    fn end_sessions(&self, user: &str) -> impl Future<Output = Result<usize, String>> + Send;
}

/// What the unattended tour needs beside the demonstration itself.
#[derive(Debug)]
pub struct TourParts<'a, O> {
    /// The configuration file as it was written; the tour edits it and puts it back.
    pub config_file: &'a Path,
    /// The operator.
    pub operator: O,
    /// Where each line goes: `ok …`.
    pub print: fn(&str),
}

/// A tour that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What was shown, in order.
    pub steps: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// A step that did not show what it must.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {reason}")]
pub struct StepFailed {
    /// The step, as the report would name it.
    pub step: &'static str,
    /// What was seen instead; addresses without queries, no secret.
    pub reason: String,
    /// What lies below, if something does.
    #[source]
    pub source: Option<BrowserError>,
}

/// The tour under way: which step, and what was shown so far.
struct Walk<'a> {
    demo: &'a Demo,
    step: &'static str,
    steps: Vec<String>,
    print: fn(&str),
}

/// Walks through everything.
pub(super) async fn walk<O: Operator>(demo: &Demo, parts: TourParts<'_, O>) -> Result<Report, StepFailed> {
    let TourParts { config_file, operator, print } = parts;
    let begun = Instant::now();
    let mut walk = Walk { demo, step: "start", steps: Vec::new(), print };
    let mut alice = walk.sign_in_once().await?;
    let (mut bob, request_id) = walk.be_refused().await?;
    walk.explain(&operator, &request_id).await?;
    walk.edit_policy(config_file, &mut bob).await?;
    walk.end_session(&operator, &mut alice).await?;
    walk.sign_out_everywhere().await?;
    Ok(Report { steps: walk.steps, took: begun.elapsed() })
}

impl Walk<'_> {
    /// One sign-in, two unrelated hosts.
    async fn sign_in_once(&mut self) -> Result<Browser, StepFailed> {
        self.step = "sign in on one host";
        let mut alice = self.visitor()?;
        let deep = format!("{}/reports?year=2026&part=1%2B1", self.demo.origin(HELLO_HOST));
        let landed = alice.sign_in(&deep, "alice").await;
        let landed = self.seen(landed)?;
        self.must(landed.status == StatusCode::OK, &landed, "the page did not open after the sign-in")?;
        self.must(landed.url.as_str() == deep, &landed, "the sign-in did not end where it began")?;
        self.must(landed.text.contains("Hello, Alice Admin"), &landed, "the application does not greet alice")?;
        self.must(landed.text.contains("assertion verified"), &landed, "the application could not verify who she is")?;
        self.ok("alice signed in; the application verified who she is, and the address kept its query");

        self.step = "open an unrelated host";
        let before = self.demo.provider().sign_ins();
        let other = alice.open(&format!("{}/", self.demo.origin(VAULT_HOST))).await;
        let other = self.seen(other)?;
        self.must(other.status == StatusCode::OK, &other, "the vault did not open")?;
        self.must(self.demo.provider().sign_ins() == before, &other, "a second sign-in was asked for")?;
        let provider = self.demo.provider().address().ip().to_string();
        self.must(!other.came_over(&provider), &other, "the browser was sent to the provider again")?;
        self.ok("the vault, on another host, opened without a second sign-in");
        Ok(alice)
    }

    /// A refusal that says who, why, and which request.
    async fn be_refused(&mut self) -> Result<(Browser, String), StepFailed> {
        self.step = "be refused and read why";
        let mut bob = self.visitor()?;
        let landed = bob.sign_in(&format!("{}/", self.demo.origin(HELLO_HOST)), "bob").await;
        let landed = self.seen(landed)?;
        self.must(landed.status == StatusCode::OK, &landed, "bob could not sign in")?;
        let reached = self.demo.vault().requests();
        let refused = bob.open(&format!("{}/", self.demo.origin(VAULT_HOST))).await;
        let refused = self.seen(refused)?;
        self.must(refused.status == StatusCode::FORBIDDEN, &refused, "bob was not refused")?;
        self.must(self.demo.vault().requests() == reached, &refused, "the request reached the application")?;
        self.must(
            refused.text.contains("bob@corp.example"),
            &refused,
            "the page does not say as whom one is signed in",
        )?;
        let request_id = refused.header("x-request-id").to_owned();
        self.must(!request_id.is_empty(), &refused, "the answer has no request id")?;
        self.must(refused.text.contains(&request_id), &refused, "the page does not show the request id")?;
        self.ok("bob was refused; the page says who he is, why, and the request id");
        Ok((bob, request_id))
    }

    /// The reasons behind a request id.
    async fn explain<O: Operator>(&mut self, operator: &O, request_id: &str) -> Result<(), StepFailed> {
        self.step = "explain the request";
        let told = operator.explain(request_id).await.map_err(|reason| self.failed(reason))?;
        if !told.contains("vault") {
            return Err(self.failed("the explanation does not name the route".to_owned()));
        }
        self.ok("portcullis explain told why");
        Ok(())
    }

    /// The policy file changes while somebody watches.
    async fn edit_policy(&mut self, file: &Path, bob: &mut Browser) -> Result<(), StepFailed> {
        self.step = "edit the policy";
        let before = std::fs::read_to_string(file).map_err(|error| self.failed(error.to_string()))?;
        let after = before.replace("claim/groups: admins", "claim/groups: engineering");
        if after == before {
            return Err(self.failed("the policy was not found in the file".to_owned()));
        }
        self.write(file, &after)?;
        let vault = self.demo.origin(VAULT_HOST);
        self.until_status(bob, &format!("{vault}/json"), StatusCode::OK).await?;
        self.ok("the policy now admits engineers: bob was let in without a restart");

        self.step = "watch while the policy changes back";
        let stream = bob.watch(&format!("{vault}/events")).await;
        let mut stream = self.seen(stream)?;
        self.first_event(&mut stream).await?;
        self.write(file, &before)?;
        self.ends(stream).await?;
        self.until_status(bob, &format!("{vault}/json"), StatusCode::FORBIDDEN).await?;
        self.ok("the policy changed back: bob's live stream closed and the next request was refused");
        Ok(())
    }

    /// A session's end closes what it has open.
    async fn end_session<O: Operator>(&mut self, operator: &O, alice: &mut Browser) -> Result<(), StepFailed> {
        self.step = "end a session";
        let hello = self.demo.origin(HELLO_HOST);
        let stream = alice.watch(&format!("{hello}/events")).await;
        let mut stream = self.seen(stream)?;
        self.first_event(&mut stream).await?;
        let ended = operator.end_sessions("alice").await.map_err(|reason| self.failed(reason))?;
        if ended == 0 {
            return Err(self.failed("alice had no session to end".to_owned()));
        }
        self.ends(stream).await?;
        self.until_status(alice, &format!("{hello}/json"), StatusCode::UNAUTHORIZED).await?;
        self.ok("alice's session was ended: her live stream closed and her cookie is worth nothing");
        Ok(())
    }

    /// Sign-out ends the session on every host.
    async fn sign_out_everywhere(&mut self) -> Result<(), StepFailed> {
        self.step = "sign out";
        let (hello, vault) = (self.demo.origin(HELLO_HOST), self.demo.origin(VAULT_HOST));
        let mut alice = self.visitor()?;
        let landed = alice.sign_in(&format!("{vault}/"), "alice").await;
        self.seen(landed)?;
        let landed = alice.open(&format!("{hello}/")).await;
        self.seen(landed)?;
        let out = alice.submit(&format!("{hello}/.portcullis/sign_out"), &[]).await;
        let out = self.seen(out)?;
        self.must(out.status == StatusCode::OK, &out, "there is no signed-out page")?;
        for origin in [&hello, &vault] {
            self.until_status(&mut alice, &format!("{origin}/json"), StatusCode::UNAUTHORIZED).await?;
        }
        let again = alice.open(&format!("{hello}/")).await;
        let again = self.seen(again)?;
        self.must(again.text.contains("name=\"password\""), &again, "the provider did not ask for the password again")?;
        self.ok("a sign-out on one host ended the session on both, and at the provider");
        Ok(())
    }

    async fn first_event(&self, stream: &mut reqwest::Response) -> Result<(), StepFailed> {
        match timeout(PATIENCE, stream.chunk()).await {
            Ok(Ok(Some(_event))) if stream.status() == StatusCode::OK => Ok(()),
            Ok(Ok(_)) => Err(self.failed(format!("no event stream but {}", stream.status()))),
            Ok(Err(error)) => Err(self.failed(format!("the stream broke: {error}"))),
            Err(_) => Err(self.failed("the stream is silent".to_owned())),
        }
    }

    /// Waits until a stream is over; how it ends (cleanly or cut) is the protocol's business.
    async fn ends(&self, mut stream: reqwest::Response) -> Result<(), StepFailed> {
        let drained = async { while let Ok(Some(_event)) = stream.chunk().await {} };
        timeout(PATIENCE, drained).await.map_err(|_| self.failed("the live stream goes on".to_owned()))
    }

    async fn until_status(&self, visitor: &mut Browser, address: &str, wanted: StatusCode) -> Result<(), StepFailed> {
        let mut glances = interval(GLANCE);
        let begun = Instant::now();
        loop {
            glances.tick().await;
            let page = visitor.call(http::Method::GET, address, "application/json").await;
            let page = self.seen(page)?;
            if page.status == wanted {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(self.failed(format!("{} stays {} instead of {wanted}", page.url.path(), page.status)));
            }
        }
    }

    fn write(&self, file: &Path, text: &str) -> Result<(), StepFailed> {
        // As editors do: a new file takes the old one's name.
        let fresh = file.with_extension("new");
        let written = std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, file));
        written.map_err(|error| self.failed(error.to_string()))
    }

    fn visitor(&self) -> Result<Browser, StepFailed> {
        self.seen(Browser::new(self.demo.authority()))
    }

    fn seen<T>(&self, result: Result<T, BrowserError>) -> Result<T, StepFailed> {
        result.map_err(|error| StepFailed { step: self.step, reason: error.to_string(), source: Some(error) })
    }

    fn must(&self, holds: bool, page: &Page, otherwise: &str) -> Result<(), StepFailed> {
        if holds {
            return Ok(());
        }
        let host = page.url.host_str().unwrap_or_default();
        Err(self.failed(format!("{otherwise} ({} from {host}{})", page.status, page.url.path())))
    }

    const fn failed(&self, reason: String) -> StepFailed {
        StepFailed { step: self.step, reason, source: None }
    }

    fn ok(&mut self, shown: &str) {
        (self.print)(&format!("ok {} - {shown}", self.steps.len() + 1));
        self.steps.push(shown.to_owned());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tour went well: {} steps in {:.1} s", self.steps.len(), self.took.as_secs_f32())
    }
}
