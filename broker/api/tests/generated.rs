//! The checked-in wire code is what `proto/broker.proto` says. Set `REGENERATE=1` to write it anew.

use std::path::Path;

/// Messages that carry tokens, claims or external data: their `Debug` is ours and shows nothing.
const SECRET: [&str; 6] = [
    ".portcullis.broker.v1.Tokens",
    ".portcullis.broker.v1.LogoutHint",
    ".portcullis.broker.v1.AccessTokenAnswer",
    ".portcullis.broker.v1.Session",
    ".portcullis.broker.v1.Profile",
    ".portcullis.broker.v1.Record",
];

#[test]
fn checked_in_code_is_the_protos() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let files = protox::compile(["broker.proto"], [room.join("proto")]).unwrap();
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .skip_debug(SECRET)
        .out_dir(out.path())
        .compile_fds(files)
        .unwrap();
    let fresh = std::fs::read_to_string(out.path().join("portcullis.broker.v1.rs")).unwrap();
    let place = room.join("src/wire/generated.rs");
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::write(&place, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&place).unwrap_or_default();
    assert!(kept == fresh, "src/wire/generated.rs is not what proto/broker.proto says: run the test with REGENERATE=1");
}
