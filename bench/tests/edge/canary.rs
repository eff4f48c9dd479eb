//! Secrets are planted in every credential, and looked for everywhere they must not be.

use portcullis_demo::Person;
use serde_json::json;

use super::edge::{Edge, free_port};
use super::raw::ask;

/// A claim that nobody asked to see.
const CLAIM: &str = "canary-claim-7f3d91";
/// Shorter texts occur by chance.
const SHORTEST: usize = 16;

/// Everything of ours is logged in detail, and one route leads nowhere.
async fn with_a_dead_upstream() -> Edge {
    let mut edge = Edge::prepare().await;
    let (port, dead) = (edge.demo.public_port(), free_port().await);
    let route = format!(
        "  - name: dead\n    from: https://api.localhost:{port}\n    to: http://127.0.0.1:{dead}\n    policy: [{{allow: {{and: [{{authenticated_user: true}}]}}}}]\n"
    );
    edge.run("telemetry: {log: \"trace\"}\n", &route).await;
    edge
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_printed_anywhere() {
    let mut edge = with_a_dead_upstream().await;
    let claims = json!({ "name": "Canary", "email": "canary@corp.example", "email_verified": true, "groups": ["engineering"], "secret_note": CLAIM });
    edge.demo.provider().put_person(Person::new("canary", "for tests", claims));
    let mut secrets = Secrets::default();
    let mut pages = Vec::new();

    // A whole visit: sign-in, use, refusal, a second host, sign-out.
    let mut canary = edge.visitor();
    let landed = canary.sign_in(&edge.url("hello", "/json?token=canary-query-5e1c77"), "canary").await.unwrap();
    assert_eq!(landed.status, 200);
    secrets.learn_way(&landed.way);
    let refused = canary.open(&edge.url("vault", "/")).await.unwrap();
    assert_eq!(refused.status, 403);
    secrets.learn_way(&refused.way);
    secrets.learn_cookies(&canary);
    pages.push(refused.text);
    // Things that go wrong: a callback that is not ours, a replayed hand-over, a forged cookie.
    for url in secrets.ways.clone() {
        let mut thief = edge.visitor();
        let page = thief.open(&url).await.unwrap();
        // Not the provider's own pages: its form must carry the request.
        if !page.url.as_str().starts_with(edge.demo.provider().issuer()) {
            pages.push(page.text);
        }
        secrets.learn_way(&page.way);
    }
    let port = edge.demo.public_port();
    let forged = "canary-forged-cookie-91ab";
    let bearer = "canary-bearer-token-33fe";
    secrets.texts.extend([forged.to_owned(), bearer.to_owned()]);
    let request = format!(
        "GET /a%2Fb?code=x HTTP/1.1\r\nHost: hello.localhost:{port}\r\nCookie: __Host-portcullis={forged}\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    );
    pages.push(ask(&edge, "hello", request.as_bytes()).await.unwrap().body);
    let request = request.replace("/a%2Fb", "/json");
    pages.push(ask(&edge, "hello", request.as_bytes()).await.unwrap().body);
    // A request that fails on its way: errors tell of it, without its query.
    let failed = canary.open(&edge.url("api", "/?token=canary-query-5e1c77")).await.unwrap();
    assert_eq!(failed.status, 502);
    let out = canary.submit(&edge.url("hello", "/.portcullis/sign_out"), &[]).await.unwrap();
    secrets.learn_way(&out.way);
    pages.push(out.text);

    secrets.texts.extend(edge.demo.provider().issued_secrets());
    secrets.texts.push(CLAIM.to_owned());
    let folder = edge.folder.path().to_owned();
    secrets.texts.push(std::fs::read_to_string(folder.join("provider-secret")).unwrap());
    secrets.learn_key_ring(&folder.join("state"));

    let id = edge.service().id();
    let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap();
    let mut places = vec![
        ("metrics".to_owned(), edge.service().telemetry("/metrics").await),
        ("readyz".to_owned(), edge.service().telemetry("/readyz").await),
        ("arguments".to_owned(), String::from_utf8_lossy(&arguments).into_owned()),
        ("status".to_owned(), String::from_utf8_lossy(&edge.service().command(&["status"]).await.stdout).into_owned()),
    ];
    places.extend(pages.into_iter().enumerate().map(|(number, page)| (format!("page {number}"), page)));
    // Stopped, so that every line is out and the store is closed.
    edge.service().stop().await;
    places.push(("log".to_owned(), edge.log().join("\n")));
    let store = std::fs::read(folder.join("state/sessions.redb")).unwrap();
    places.push(("store".to_owned(), String::from_utf8_lossy(&store).into_owned()));

    assert!(secrets.texts.len() > 20, "there are secrets to look for: {}", secrets.texts.len());
    assert!(!edge.log().iter().any(|line| line.contains("canary-query")), "no query is logged");
    let leaks: Vec<String> = places.iter().flat_map(|(place, text)| secrets.found_in(place, text)).collect();
    assert!(leaks.is_empty(), "\n{}", leaks.join("\n"));
    // The twin: the search finds what is there.
    assert_eq!(secrets.found_in("twin", &format!("…{bearer}…")).len(), 1);
}

/// What must not be found.
#[derive(Debug, Default)]
struct Secrets {
    texts: Vec<String>,
    ways: Vec<String>,
}

impl Secrets {
    /// Codes, states and sealed messages travel in queries.
    fn learn_way(&mut self, way: &[url::Url]) {
        for url in way {
            let secret =
                |name: &str| matches!(name, "r" | "h" | "state" | "code" | "nonce" | "id_token_hint" | "o" | "s");
            let values = url.query_pairs().filter(|(name, _)| secret(name));
            self.texts.extend(values.map(|(_, value)| value.into_owned()));
            if url.path().ends_with("callback") {
                self.ways.push(url.to_string());
            }
        }
    }

    fn learn_cookies(&mut self, browser: &portcullis_demo::Browser) {
        self.texts.extend(browser.cookies().map(|(_, _, value)| value.to_owned()));
    }

    /// The lines of the generated key ring, wherever it lies in the state folder.
    fn learn_key_ring(&mut self, state: &std::path::Path) {
        for entry in std::fs::read_dir(state).unwrap().flatten() {
            if let Ok(text) = std::fs::read_to_string(entry.path()) {
                let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['-', '#']));
                self.texts.extend(lines.filter(|line| line.len() >= 40).map(str::to_owned));
            }
        }
    }

    fn found_in(&self, place: &str, text: &str) -> Vec<String> {
        let found = self.texts.iter().filter(|secret| secret.len() >= SHORTEST && text.contains(secret.as_str()));
        found.map(|secret| format!("{place}: {}…", &secret.chars().take(12).collect::<String>())).collect()
    }
}
