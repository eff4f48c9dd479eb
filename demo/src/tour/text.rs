//! What `portcullis demo` prints.

use std::path::Path;

use super::{CONFIG_FILE, Demo, HELLO_HOST, VAULT_HOST};

/// What to open, as whom to sign in, five things to try.
pub(super) fn welcome(demo: &Demo, folder: &Path) -> String {
    let (hello, vault) = (demo.origin(HELLO_HOST), demo.origin(VAULT_HOST));
    let file = folder.join(CONFIG_FILE);
    let file = file.display();
    // As it was started: `make demo` runs a binary that no search path knows.
    let program = std::env::current_exe().unwrap_or_else(|_| "portcullis".into());
    let program = program.display();
    format!(
        "
  Portcullis is up. Everything runs in this process and on loopback; Ctrl-C ends it and leaves nothing behind.

  Open      {hello}   everybody who is signed in
            {vault}   administrators only
  Sign in   alice   administrator, engineer
            bob     engineer
            carol   150 groups, e-mail address not verified
            The password is the user name. Your browser will warn about the certificate once per host: it was made
            just now. To be spared that, import {folder}/ca.crt for this visit.

  Five things to try
    1  Sign in as alice at {hello}, then open {vault}:
       another host, no second sign-in.
    2  Sign in as bob in a private window and open {vault}: refused.
       The page says who you are, why, and under which request id.
    3  Keep that page open, replace admins by engineering in
       {file}
       and reload the page: the file was read again by itself.
    4  Watch the live stream at {hello} in one tab and sign out in another: it stops at once.
       Or end it from here:
       {program} sessions end --user alice --config {file}
    5  Ask for the reasons of the refusal:
       {program} explain REQUEST-ID --config {file}

  Provider  {issuer}
  Metrics   http://{telemetry}/metrics
  Unattended: {program} demo --check
",
        folder = folder.display(),
        issuer = demo.provider.issuer(),
        telemetry = demo.telemetry,
    )
}
