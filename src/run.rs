//! `portcullis run`: the house, its telemetry and admin socket, and the loop that follows the operator.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use miette::{IntoDiagnostic, Result, WrapErr, miette};
use portcullis_config::{Loaded, Telemetry as TelemetryConfig};
use portcullis_identity::{Clock as _, SystemClock};
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Admin, ReloadOrder};
use crate::configuration::Origin;
use crate::house::{House, chain};
use crate::migrate::RunError;
use crate::reload::Reloader;
use crate::signals::{Order, Signals};
use crate::telemetry::Telemetry;
use crate::terminal::note;
use crate::{certificates, configuration, http_server, log, migrate, secret_file, sockets};

/// Reloads that wait their turn.
const MAX_WAITING_RELOADS: usize = 16;

/// How often certificates between hosts are looked at, which live for years.
const RENEWALS: Duration = Duration::from_secs(3600);

/// A running process: its house and the loop that follows the operator.
#[derive(Debug)]
pub(crate) struct Running {
    house: Arc<House>,
    reloader: Reloader,
    changes: mpsc::Receiver<()>,
    orders: mpsc::Receiver<ReloadOrder>,
    /// Ends telemetry and admin, last of all.
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Runs the configuration until a signal says stop.
///
/// # Errors
/// The configuration is refused or the house does not stand.
pub(crate) async fn run(origin: Origin) -> Result<ExitCode> {
    let (loaded, lost) = match origin.load() {
        Ok(loaded) => loaded,
        Err(RunError::Load(error)) => return Err(configuration::Refused(error).into()),
        Err(error) => return migrate::refuse(error).into_diagnostic(),
    };
    lost.iter().for_each(|finding| note(finding));
    let TelemetryConfig { log: filter } = &loaded.config.telemetry;
    let registry = Registry::new();
    let _log = log::install(filter, log::Format::Json, &registry).into_diagnostic()?;
    let overdue = certificates::overdue(&loaded.config, SystemClock.now());
    for warning in loaded.config.warnings.iter().chain(&overdue) {
        tracing::warn!(config.warning = %warning, "configuration");
    }
    let running = Running::start(origin, loaded, registry).await?;
    running.until_stopped().await?;
    Ok(ExitCode::SUCCESS)
}

impl Running {
    /// Starts everything that `loaded` names; ready when this returns.
    ///
    /// # Errors
    /// A port in use, keys that are missing, a store that cannot be opened.
    pub(crate) async fn start(origin: impl Into<Origin>, mut loaded: Loaded, registry: Registry) -> Result<Self> {
        let config = Arc::clone(&loaded.config);
        // Looked at before the house reads it: a change in between is one to follow.
        let secret = secret_file::unnamed_file(&config.secret).filter(|file| file.digest.is_some());
        let house = House::start(&config, registry.clone()).await;
        let house = Arc::new(house.map_err(|error| miette!("{}", chain(error.as_ref())))?);
        loaded.files.extend(secret.or_else(|| secret_file::unnamed_file(&config.secret)));
        let (reloader, changes) =
            Reloader::new(origin.into(), loaded, Arc::new(SystemClock), &registry).into_diagnostic()?;
        let (sender, orders) = mpsc::channel(MAX_WAITING_RELOADS);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());

        let admin = Admin { house: Arc::clone(&house), generations: reloader.state(), reload: sender };
        let socket = sockets::unix(&config.directories.run.join("admin.sock")).into_diagnostic()?;
        let socket = tokio::net::UnixListener::from_std(socket).into_diagnostic()?;
        let stopping = stop.clone();
        tasks.spawn(http_server::serve_unix(socket, move |request| admin.clone().handle(request), stopping));

        if let Some(address) = config.listen.telemetry {
            let degraded = Arc::clone(&house);
            let telemetry = Telemetry {
                registry,
                readiness: house.readiness(),
                degradation: Arc::new(move || degraded.degradation()),
            };
            let listener = sockets::tcp(address, &[]).into_diagnostic()?;
            let listener = tokio::net::TcpListener::from_std(listener).into_diagnostic()?;
            let stopping = stop.clone();
            tasks.spawn(http_server::serve_tcp(listener, move |request| telemetry.clone().handle(request), stopping));
        }
        tracing::info!(config.generation = %config.generation, service.version = env!("CARGO_PKG_VERSION"), "serving");
        notify_systemd(&[sd_notify::NotifyState::Ready]);
        Ok(Self { house, reloader, changes, orders, stop, tasks })
    }

    /// The house.
    pub(crate) fn house(&self) -> Arc<House> {
        Arc::clone(&self.house)
    }

    /// Follows signals, file changes and the admin socket until it is told to stop; then drains.
    ///
    /// # Errors
    /// The system refuses a signal handler.
    pub(crate) async fn until_stopped(mut self) -> Result<()> {
        let mut signals = Signals::install().into_diagnostic().wrap_err("signals")?;
        self.follow(&mut signals, std::future::pending()).await;
        tracing::info!("stopping");
        notify_systemd(&[sd_notify::NotifyState::Stopping]);
        tokio::select! {
            () = self.finish() => {}
            // A second order: no more patience.
            () = second_stop(&mut signals) => tracing::warn!("stopped at once"),
        }
        Ok(())
    }

    /// Runs `work` beside everything else, following file changes and the admin socket, then drains. `None`: a signal
    /// came first.
    ///
    /// # Errors
    /// The system refuses a signal handler.
    pub(crate) async fn during<T>(mut self, work: impl Future<Output = T>) -> Result<Option<T>> {
        let mut signals = Signals::install().into_diagnostic().wrap_err("signals")?;
        let mut outcome = None;
        self.follow(&mut signals, async { outcome = Some(work.await) }).await;
        self.finish().await;
        Ok(outcome)
    }

    /// One reload at a time, in the order they were asked for, until `until` or a signal ends it.
    async fn follow(&mut self, signals: &mut Signals, until: impl Future<Output = ()>) {
        tokio::pin!(until);
        let mut renewals = tokio::time::interval(RENEWALS);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel safe: channels keep what was not taken, signals are kept by the runtime.
            let (waiting, settled) = tokio::select! {
                () = until.as_mut() => return,
                order = signals.next() => match order {
                    Order::Stop => return,
                    Order::Reload => (None, false),
                },
                Some(()) = self.changes.recv() => (None, true),
                Some(waiting) = self.orders.recv() => (Some(waiting), false),
                _ = renewals.tick() => {
                    self.reloader.renew(&self.house).await;
                    continue;
                }
            };
            if !settled {
                self.reloader.settle().await;
            }
            notify_systemd(&[sd_notify::NotifyState::Reloading]);
            let outcome = self.reloader.reload(&self.house).await;
            notify_systemd(&[sd_notify::NotifyState::Ready]);
            if let Some(waiting) = waiting {
                let told = outcome.map(|generation| generation.to_string()).map_err(|error| error.to_string());
                // Who asked may have gone away.
                drop(waiting.send(told));
            }
        }
    }

    async fn finish(&self) {
        self.house.stop().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn second_stop(signals: &mut Signals) {
    while signals.next().await != Order::Stop {}
}

fn notify_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(error = %error, "systemd was not told");
    }
}
