//! What is wrong or odd only when one looks at the whole: routes that nobody reaches, names that are served
//! without a certificate, sign-ins without a place for them.

use crate::model::Config;
use crate::report::Report;

/// Looks at a whole configuration whose parts are right.
pub(crate) fn config(_report: &mut Report<'_>, _config: &Config) {}
