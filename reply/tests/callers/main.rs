//! Everything callers see, from outside: statuses, headers, pages, documents.
//!
//! With `PORTCULLIS_PAGES_DIR` set, [`pages::every_page_is_self_contained`] writes every page there, to be
//! looked at in a browser.

mod answers;
mod fixtures;
mod pages;
