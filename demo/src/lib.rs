//! The demonstration: a small real OpenID Provider, two sample applications and a tour through both.
//!
//! For `portcullis demo` and for tests that need a provider they can break. No key of the configuration leads
//! here: a production process starts none of this, whatever its file says. The provider keeps everything in
//! memory, listens on loopback only and its passwords are the user names.
//!
//! ```
//! use portcullis_demo::{Client, Provider, ProviderParts};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let client = Client::confidential("proxy", "secret", "https://auth.localhost:8443");
//! let provider = Provider::start(ProviderParts::on_any_port(vec![client])).await.unwrap();
//! assert!(provider.issuer().starts_with("http://127.0.0.1:"));
//! # });
//! ```

mod app;
mod loopback;
mod provider;
mod site;
mod tour;

pub use app::{App, AppParts, Trust};
pub use provider::{Client, Fault, OldKeys, Person, Provider, ProviderParts};
pub use tour::{Browser, BrowserError, Demo, DemoError, Operator, Page, Report, StepFailed, TourParts};
