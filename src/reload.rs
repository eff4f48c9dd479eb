//! The next generation: load, build, swap. Any failure keeps the old one whole and says so.

use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_config::{Config, Generation, LoadError, Loaded, ReferencedFile, Watcher};
use portcullis_identity::{Clock, Timestamp};
use prometheus::{Counter, Gauge, IntCounterVec, IntGauge, Opts, Registry};
use tokio::sync::mpsc;

use crate::configuration::Origin;
use crate::house::House;
use crate::migrate::RunError;
use crate::secret_file;

/// What became of the latest attempts; what `status` shows.
#[derive(Clone, Debug)]
pub(crate) struct Generations {
    /// The generation that serves.
    pub(crate) current: Generation,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Why the latest attempt was refused, if it was: lines of `file:line:column: message`.
    pub(crate) last_error: Option<String>,
    /// What the file changed that only a restart can follow.
    pub(crate) restart_for: Vec<&'static str>,
}

/// Why a generation is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The file or something it references.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The configuration reads well but cannot be served.
    #[error("{0}")]
    Build(String),
}

/// Owns the configuration's file and the state of its generations.
#[derive(Debug)]
pub(crate) struct Reloader {
    origin: Origin,
    config: Arc<Config>,
    state: Arc<ArcSwap<Generations>>,
    clock: Arc<dyn Clock>,
    metrics: ReloadMetrics,
    watcher: Option<Watcher>,
}

#[derive(Debug)]
struct ReloadMetrics {
    success: IntGauge,
    timestamp: Gauge,
    attempts: IntCounterVec,
    seconds: Counter,
}

impl Reloader {
    /// Starts from what `run` loaded. Messages on the returned channel say that a file changed.
    ///
    /// # Errors
    /// A metric of that name is registered already.
    pub(crate) fn new(
        origin: Origin,
        loaded: Loaded,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<(Self, mpsc::Receiver<()>), prometheus::Error> {
        let metrics = ReloadMetrics::register(registry)?;
        let Loaded { config, files } = loaded;
        let now = clock.now();
        metrics.succeeded(now);
        let first = Generations { current: config.generation, since: now, last_error: None, restart_for: Vec::new() };
        let (changes, receiver) = mpsc::channel(1);
        let watcher = match Watcher::new(files) {
            Ok((watcher, changed)) => {
                forward_changes(changed, changes);
                Some(watcher)
            }
            Err(error) => {
                // SIGHUP and `portcullis reload` still work.
                tracing::error!(error = %error, "configuration files are not watched");
                None
            }
        };
        let state = Arc::new(ArcSwap::from_pointee(first));
        Ok((Self { origin, config, state, clock, metrics, watcher }, receiver))
    }

    /// The state, for `status`.
    pub(crate) fn state(&self) -> Arc<ArcSwap<Generations>> {
        Arc::clone(&self.state)
    }

    /// Waits until no file of the configuration is being written, for an order that comes from elsewhere than a change
    /// of the files: whoever gives it may be a script that is faster than the editor.
    pub(crate) async fn settle(&self) {
        let Some(settled) = self.watcher.as_ref().map(Watcher::settled) else { return };
        // The watcher answers within seconds, and its end answers too; a thread that is lost is no reason to wait.
        drop(tokio::task::spawn_blocking(move || settled.recv()).await);
    }

    /// Reads everything again and serves it, or keeps what serves now and says why.
    ///
    /// # Errors
    /// See [`ReloadError`]; the old generation goes on.
    pub(crate) async fn reload(&mut self, house: &House) -> Result<Generation, ReloadError> {
        let began = tokio::time::Instant::now();
        let outcome = self.attempt(house).await;
        self.metrics.seconds.inc_by(began.elapsed().as_secs_f64());
        match &outcome {
            Ok(generation) => {
                self.metrics.succeeded(self.clock.now());
                tracing::info!(config.generation = %generation, "configuration applied");
            }
            Err(error) => {
                self.metrics.failed();
                tracing::error!(error = %error, config.generation = %self.config.generation,
                    "configuration refused; the generation before goes on");
                let before = self.state.load_full();
                self.state.store(Arc::new(Generations { last_error: Some(error.to_string()), ..(*before).clone() }));
            }
        }
        outcome
    }

    /// Renews what ends by itself while nobody reloads: the certificates between hosts. What serves goes on if it fails.
    pub(crate) async fn renew(&self, house: &House) {
        if let Err(error) = house.renew_certificates(&self.config).await {
            tracing::error!(error, "certificates between hosts are not issued anew");
        }
    }

    async fn attempt(&mut self, house: &House) -> Result<Generation, ReloadError> {
        let origin = self.origin.clone();
        let loading = tokio::task::spawn_blocking(move || origin.load());
        let loaded = loading.await.map_err(|error| ReloadError::Build(format!("loading ended early: {error}")))?;
        let (Loaded { config, files }, lost) = match loaded {
            Ok(loaded) => loaded,
            Err(RunError::Load(error)) => {
                self.follow_failed(&error);
                return Err(error.into());
            }
            Err(error) => return Err(ReloadError::Build(error.to_string())),
        };
        for finding in lost {
            tracing::warn!(config.finding = %finding, "without an equivalent");
        }
        // Whatever is wrong with the new generation, a change of its files is the way to mend it.
        if let Some(watcher) = &self.watcher {
            watcher.follow(with_unnamed(&config, files));
        }
        house.publish(&config).await.map_err(ReloadError::Build)?;
        let restart_for = restart_for(&self.config, &config);
        for section in &restart_for {
            tracing::warn!(section, "changed in the file, but only a restart follows it");
        }
        let generation = config.generation;
        let now = self.clock.now();
        self.state.store(Arc::new(Generations { current: generation, since: now, last_error: None, restart_for }));
        self.config = config;
        Ok(generation)
    }

    /// A refused file may reference others than the one before: a change of any of them may mend it.
    fn follow_failed(&self, error: &LoadError) {
        if let Some(watcher) = &self.watcher {
            watcher.follow(error.files().to_vec());
        }
    }
}

impl ReloadMetrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let success = IntGauge::new(
            "portcullis_config_last_reload_success",
            "1 if the latest configuration was applied, 0 if it was refused.",
        )?;
        let timestamp = Gauge::new(
            "portcullis_config_last_reload_success_timestamp_seconds",
            "When a configuration was last applied, in Unix time.",
        )?;
        let attempts = IntCounterVec::new(
            Opts::new("portcullis_config_reloads_total", "Attempts to apply a configuration, by result."),
            &["result"],
        )?;
        let seconds = Counter::new(
            "portcullis_config_reload_seconds_total",
            "Time spent on loading and building configurations.",
        )?;
        registry.register(Box::new(success.clone()))?;
        registry.register(Box::new(timestamp.clone()))?;
        registry.register(Box::new(attempts.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { success, timestamp, attempts, seconds })
    }

    fn succeeded(&self, now: Timestamp) {
        self.success.set(1);
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into 53 bits")]
        self.timestamp.set(now.unix_seconds() as f64);
        self.attempts.with_label_values(&["applied"]).inc();
    }

    fn failed(&self) {
        self.success.set(0);
        self.attempts.with_label_values(&["refused"]).inc();
    }
}

/// What is watched: the files that a load names, and the cluster secret in the state directory.
fn with_unnamed(config: &Config, mut files: Vec<ReferencedFile>) -> Vec<ReferencedFile> {
    files.extend(secret_file::unnamed_file(&config.secret));
    files
}

/// What only a restart can follow.
fn restart_for(old: &Config, new: &Config) -> Vec<&'static str> {
    let changes = [
        ("services", old.services != new.services),
        ("run_dir and state_dir", old.directories != new.directories),
        ("listen", old.listen != new.listen),
        ("storage", old.storage != new.storage),
        ("sign_in", old.sign_in.host.is_empty() && !new.sign_in.host.is_empty()),
        ("siblings", old.siblings != new.siblings),
        ("replica", old.replica != new.replica),
        ("telemetry", old.telemetry != new.telemetry),
    ];
    changes.into_iter().filter(|(_, changed)| *changed).map(|(section, _)| section).collect()
}

/// Carries the watcher's messages into the runtime. The thread ends with the watcher or with the receiver.
fn forward_changes(changed: std::sync::mpsc::Receiver<()>, changes: mpsc::Sender<()>) {
    let forwarding = std::thread::Builder::new().name("config-changes".into()).spawn(move || {
        while changed.recv().is_ok() {
            if changes.blocking_send(()).is_err() {
                break;
            }
        }
    });
    if let Err(error) = forwarding {
        tracing::error!(error = %error, "configuration files are not watched");
    }
}
