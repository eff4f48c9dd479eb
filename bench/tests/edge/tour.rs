//! The command a newcomer runs first.

use super::edge::{PATIENCE, binary, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_shows_all_it_promises() {
    let port = free_port().await.to_string();
    let mut demo = tokio::process::Command::new(binary());
    demo.args(["demo", "--check", "--port", &port]);
    let output = tokio::time::timeout(PATIENCE * 2, demo.output()).await.expect("under a minute").unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.lines().filter(|line| line.starts_with("ok ")).count() >= 8, "{text}");
}
