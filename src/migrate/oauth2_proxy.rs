//! From an oauth2-proxy configuration to ours.

use std::sync::Arc;

use portcullis_policy::Diagnostic;

use super::reader::Document;
use super::scope::{Journal, Key};
use super::tree::{Tree, Value};

pub(crate) const CLASSIC: &[Key<()>] = &[];
pub(crate) const ALPHA: &[Key<()>] = &[];

pub(crate) fn looks_like_cfg(_text: &str) -> bool { false }
pub(crate) fn cfg(text: &str, name: &Arc<str>) -> Result<Document, Diagnostic> { super::reader::yaml(text, name) }
pub(crate) fn convert(_classic: Option<&Document>, _alpha: Option<&Document>, _journal: &mut Journal) -> Tree { Value::Null.into() }
