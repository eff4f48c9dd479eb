//! The three commands over real files: what passes, what fails, what is broken, each beside its twin.

mod compared;
mod supposed;
mod tabled;

use std::fs;
use std::path::PathBuf;

use portcullis_identity::{ManualClock, Timestamp};

/// The instant the tests take for the present: a Monday morning.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_772_442_000);

/// Two routes on one host and one on another; everything a laptop has not (secret, CA) is referenced.
const CONFIG: &str = "\
sign_in: {host: auth.corp.test}
providers:
  corp: {issuer: https://idp.corp.test, client_id: p, client_secret: {file: missing/idp}}
policies:
  staff:
    - allow: {and: [{domain: corp.test}]}
      deny: {or: [{groups: {has: suspended}}]}
routes:
  - name: admin
    from: https://wiki.corp.test
    prefix: /admin/
    to: https://10.0.0.7
    tls_custom_ca_file: missing/ca.pem
    session: {max_age: 15m}
    policy:
      - allow:
          and:
            - groups: {has: admins}
            - http_method: {in: [GET, POST]}
  - name: wiki
    from: https://wiki.corp.test
    to: http://10.0.0.7
    policy: staff
  - name: open
    from: https://open.corp.test
    to: http://10.0.0.7
    allow_public_unauthenticated_access: true
";

/// Files of one test.
struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        this.file("portcullis.yaml", CONFIG);
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn clock() -> ManualClock {
    ManualClock::at(NOW)
}
