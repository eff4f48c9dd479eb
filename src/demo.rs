//! `portcullis demo`: everything in one process, in a folder that goes away with it.

use std::path::Path;
use std::sync::Arc;

use miette::{IntoDiagnostic, Result, WrapErr, miette};
use portcullis_broker_api::{EndReason, EndSelector};
use portcullis_demo::{Demo, Operator, TourParts};
use prometheus::Registry;

use crate::configuration;
use crate::explain;
use crate::house::House;
use crate::run::Running;
use crate::secret_file;
use crate::terminal::say;
use crate::{cli, log};

/// What the demonstration logs; `run` takes this from the configuration.
const LOG_FILTER: &str = "error";

/// Runs the demonstration until Ctrl-C, or takes the tour.
///
/// # Errors
/// A port is taken, or a step of the tour did not show what it must.
pub(crate) async fn run(options: cli::Demo) -> Result<()> {
    let registry = Registry::new();
    let _log = log::install(LOG_FILTER, log::Format::Plain, &registry).into_diagnostic()?;
    let folder = Folder::new()?;
    let demo = Demo::start(options.port).await.into_diagnostic().wrap_err("the demonstration")?;
    let file = demo.write_into(&folder.0).into_diagnostic().wrap_err("the demonstration's files")?;
    let loaded = configuration::load(&file)?;
    let running = Running::start(file.clone(), loaded, registry).await?;
    if options.check {
        let operator = HouseOperator { house: running.house() };
        let outcome = Box::pin(running.during(check(&demo, &file, operator))).await?;
        return outcome.unwrap_or_else(|| Err(miette!("interrupted")));
    }
    say(&demo.welcome(&folder.0));
    running.until_stopped().await
}

async fn check(demo: &Demo, file: &Path, operator: HouseOperator) -> Result<()> {
    let parts = TourParts { config_file: file, operator, print: say };
    let report = demo.check(parts).await.into_diagnostic().wrap_err("the tour")?;
    say(&format!("{} steps in {:.1} s", report.steps.len(), report.took.as_secs_f64()));
    Ok(())
}

/// The operator of the process we are in ourselves.
struct HouseOperator {
    house: Arc<House>,
}

impl Operator for HouseOperator {
    async fn explain(&self, request_id: &str) -> Result<String, String> {
        let record =
            self.house.decision(request_id).ok_or_else(|| "no decision record has this request id".to_owned())?;
        Ok(explain::text(&record))
    }

    async fn end_sessions(&self, user: &str) -> Result<usize, String> {
        self.house.end_sessions(EndSelector::User(user.into()), EndReason::Revoked).await
    }
}

/// A folder for this run alone; removed when it is over.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("portcullis-demo-{}", std::process::id()));
        if path.exists() {
            // Left by a process of the same number that was killed.
            std::fs::remove_dir_all(&path).into_diagnostic()?;
        }
        secret_file::private_folder(&path).into_diagnostic().wrap_err_with(|| miette!("{}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::error!(path = %self.0.display(), error = %error, "the demonstration's folder stays");
        }
    }
}
