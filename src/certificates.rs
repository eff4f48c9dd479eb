//! When the served certificates end, and when lists of revoked ones are due to be replaced: metrics to alert on, and
//! lines of `check` and `status`.

use portcullis_config::{Certificate, Config, RevocationLists, Warning};
use portcullis_identity::Timestamp;
use prometheus::{GaugeVec, Opts, Registry};
use x509_parser::prelude::{FromDer, X509Certificate};

/// When each served certificate ends and each file of revoked ones is due, by the file.
#[derive(Clone, Debug)]
pub(crate) struct CertificateEnds {
    ends: GaugeVec,
    due: GaugeVec,
}

impl CertificateEnds {
    /// Registers the metric.
    ///
    /// # Errors
    /// It is registered already.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let ends =
            Opts::new("portcullis_certificate_not_after_seconds", "When a served certificate ends, in Unix time.");
        let due = Opts::new(
            "portcullis_revocation_list_next_update_seconds",
            "When lists of revoked client certificates are due to be replaced, in Unix time.",
        );
        let (ends, due) = (GaugeVec::new(ends, &["name"])?, GaugeVec::new(due, &["name"])?);
        registry.register(Box::new(ends.clone()))?;
        registry.register(Box::new(due.clone()))?;
        Ok(Self { ends, due })
    }

    /// Shows these ends, as of [`ends`], and when this configuration's lists are due, and no others.
    pub(crate) fn show(&self, ends: &[(String, i64)], config: &Config) {
        let show = |gauge: &GaugeVec, name: &str, seconds: i64| {
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into 53 bits")]
            gauge.with_label_values(&[name]).set(seconds as f64);
        };
        self.ends.reset();
        ends.iter().for_each(|(name, end)| show(&self.ends, name, *end));
        self.due.reset();
        if let Some(RevocationLists { origin, next_update }) = &config.downstream_mtls.revocations {
            show(&self.due, &origin.display().to_string(), next_update.unix_seconds());
        }
    }
}

/// A list of revoked certificates that should have been replaced by now. It goes on counting: whoever is on it stays
/// out, and only what was revoked since is not known.
pub(crate) fn overdue(config: &Config, now: Timestamp) -> Option<Warning> {
    let lists = config.downstream_mtls.revocations.as_ref().filter(|lists| lists.next_update < now)?;
    let due = jiff::Timestamp::from_second(lists.next_update.unix_seconds()).map(|due| due.to_string());
    Some(Warning {
        file: lists.origin.display().to_string(),
        line: 0,
        column: 0,
        field: "downstream_mtls.crl_file".to_owned(),
        message: format!(
            "a list of revoked certificates was due to be replaced on {}: what was revoked since is not known",
            due.unwrap_or_default()
        ),
        help: Some("put the newest list of its CA there; the old one goes on counting".to_owned()),
    })
}

/// Every served certificate: where it came from, and its end in Unix time.
pub(crate) fn ends(config: &Config, fallback: Option<&Certificate>) -> Vec<(String, i64)> {
    let served = config.tls.certificates.iter().chain(fallback);
    served.filter_map(|certificate| Some((certificate.origin.display().to_string(), not_after(certificate)?))).collect()
}

fn not_after(certificate: &Certificate) -> Option<i64> {
    let leaf = certificate.chain.first()?;
    let (_rest, parsed) = X509Certificate::from_der(leaf.as_ref()).ok()?;
    Some(parsed.validity().not_after.timestamp())
}
