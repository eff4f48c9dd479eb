//! The one stylesheet, the one script, and the policy that allows nothing else.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use portcullis_keys::sha256;

/// The stylesheet of every page, inlined.
pub(crate) const STYLE: &str = include_str!("../templates/style.css");

/// The script of the page that keeps a fragment, inlined; the only one there is.
pub(crate) const SCRIPT: &str = include_str!("../templates/keep_fragment.js");

/// What a page may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Show itself and follow links.
    Plain,
    /// Also send a form.
    Form,
    /// Also run [`SCRIPT`].
    Script,
}

pub(crate) fn content_security_policy(policy: Policy) -> HeaderValue {
    static POLICIES: LazyLock<[HeaderValue; 3]> = LazyLock::new(|| {
        // Browsers apply `form-action` to the redirects that answer a form too, and a sign-out goes on to the
        // sign-in host and to the provider, which on a developer's machine may be plain http on loopback.
        let form = "form-action 'self' https: http://localhost:* http://127.0.0.1:*";
        let script = format!("form-action 'none'; script-src '{}'", digest(SCRIPT));
        ["form-action 'none'", form, &script].map(header)
    });
    let [plain, form, script] = &*POLICIES;
    match policy {
        Policy::Plain => plain.clone(),
        Policy::Form => form.clone(),
        Policy::Script => script.clone(),
    }
}

fn header(further: &str) -> HeaderValue {
    let style = digest(STYLE);
    let policy = format!(
        "default-src 'none'; style-src '{style}'; img-src data:; base-uri 'none'; frame-ancestors 'none'; {further}"
    );
    #[expect(clippy::expect_used, reason = "constants and base64 only: visible ASCII")]
    HeaderValue::try_from(policy).expect("visible ASCII")
}

/// CSP Level 3, 2.3.1: `sha256-` and the digest of what stands between the tags.
fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(sha256(text.as_bytes())))
}
