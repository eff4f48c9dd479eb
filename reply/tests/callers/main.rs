//! Everything callers see, from outside: statuses, headers, pages, documents.
//!
//! With `PORTCULLIS_PAGES_DIR` set, [`pages::every_page_is_self_contained`] writes every page there, to be
//! looked at in a browser.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod answers;
mod fixtures;
mod pages;
