//! Who can sign in at the demonstration's provider.

use serde_json::{Map, Value, json};

/// Somebody with an account; the password is the subject.
#[derive(Clone, Debug)]
pub struct Person {
    /// `sub`, user name and password in one.
    pub subject: String,
    /// One line about them for the sign-in form.
    pub about: String,
    /// Their claims beside `sub`: what the ID token and userinfo carry.
    pub claims: Map<String, Value>,
    /// Whether they may sign in and refresh.
    pub enabled: bool,
}

impl Person {
    /// An account with these claims; a value that is not an object counts as none.
    #[must_use]
    pub fn new(subject: &str, about: &str, claims: Value) -> Self {
        let claims = match claims {
            Value::Object(claims) => claims,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
        };
        Self { subject: subject.to_owned(), about: about.to_owned(), claims, enabled: true }
    }

    /// The three of the tour: an administrator, an engineer, and somebody with too many groups.
    #[must_use]
    pub fn of_the_tour() -> Vec<Self> {
        let teams: Vec<String> =
            std::iter::once("contractors".to_owned()).chain((1..=149).map(|n| format!("team-{n}"))).collect();
        vec![
            Self::new(
                "alice",
                "administrator",
                json!({
                    "name": "Alice Admin", "preferred_username": "alice", "email": "alice@corp.example",
                    "email_verified": true, "groups": ["admins", "engineering"], "department": "platform"
                }),
            ),
            Self::new(
                "bob",
                "engineer",
                json!({
                    "name": "Bob Builder", "preferred_username": "bob", "email": "bob@corp.example",
                    "email_verified": true, "groups": ["engineering"], "department": "products"
                }),
            ),
            Self::new(
                "carol",
                "150 groups, e-mail not verified",
                json!({
                    "name": "Cärol Contractor", "preferred_username": "carol", "email": "carol@partner.example",
                    "email_verified": false, "groups": teams
                }),
            ),
        ]
    }
}
