//! What the application shows of what arrives.

use super::*;

async fn app() -> App {
    let parts = AppParts {
        name: "Hello".to_owned(),
        about: "For tests.".to_owned(),
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        route: "https://hello.localhost:8443".to_owned(),
        neighbours: Vec::new(),
        trust: Trust::Nobody,
    };
    App::start(parts).await.unwrap()
}

#[tokio::test]
async fn the_page_escapes_whatever_arrives() {
    let app = app().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("http://{}/?<script>", app.address())).header("x-portcullis-claim-name", "<b>&\"");
    let page = request.send().await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let text = page.text().await.unwrap();
    assert!(text.contains("&lt;b&gt;&amp;&quot;"));
    assert!(!text.contains("<b>"));
}

#[tokio::test]
async fn the_document_lists_identity_and_every_header() {
    let app = app().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("http://{}/json/deep?q=1", app.address())).header("x-portcullis-claim-name", "n");
    let value: Value = request.header("x-other", "o").send().await.unwrap().json().await.unwrap();
    assert_eq!(value["target"], "/json/deep?q=1");
    assert_eq!(value["identity"], json!({ "x-portcullis-claim-name": "n" }));
    assert_eq!(value["assertion"]["state"], "absent");
    assert!(value["headers"].as_array().unwrap().contains(&json!(["x-other", "o"])));
    assert_eq!(app.requests(), 1);
}

#[tokio::test]
async fn a_stream_counts_while_it_is_open() {
    let app = app().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut stream = client.get(format!("http://{}/events", app.address())).send().await.unwrap();
    let first = stream.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"id: 0\ndata: {"));
    assert_eq!(app.open_streams(), 1);
}
