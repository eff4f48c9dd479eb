//! When the served certificates end: a metric to alert on, and lines of `status`.

use portcullis_config::{Certificate, Config};
use prometheus::{GaugeVec, Opts, Registry};
use x509_parser::prelude::{FromDer, X509Certificate};

/// When each served certificate ends, by the file it came from.
#[derive(Clone, Debug)]
pub(crate) struct CertificateEnds(GaugeVec);

impl CertificateEnds {
    /// Registers the metric.
    ///
    /// # Errors
    /// It is registered already.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts =
            Opts::new("portcullis_certificate_not_after_seconds", "When a served certificate ends, in Unix time.");
        let gauge = GaugeVec::new(opts, &["name"])?;
        registry.register(Box::new(gauge.clone()))?;
        Ok(Self(gauge))
    }

    /// Shows these ends, as of [`ends`], and no others.
    pub(crate) fn show(&self, ends: &[(String, i64)]) {
        self.0.reset();
        for (name, end) in ends {
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into 53 bits")]
            self.0.with_label_values(&[name]).set(*end as f64);
        }
    }
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
