//! Sign-ins of many people, as an ordinary provider tells of them: twenty claims each.

use std::time::Duration;

use portcullis_broker_api::{NewSession, Profile, Tokens};
use portcullis_identity::{Group, Groups, Principal, ProviderName, SecretText, SessionKey, Timestamp};
use serde_json::json;

/// The claims of each.
pub const CLAIMS: usize = 20;

/// The sign-in of person `number` at `now`, under `key`, for fourteen hours.
#[must_use]
pub fn session(number: u64, key: SessionKey, now: Timestamp) -> NewSession {
    let (subject, email) = (format!("{number:032x}"), format!("person{number}@corp.example"));
    let groups = [format!("team-{}", number % 1000), "engineering".to_owned(), "all-staff".to_owned()];
    let name = format!("Person {number}");
    let claims = json!({
        "iss": "https://idp.corp.example/realms/corp", "sub": subject, "aud": "portcullis", "azp": "portcullis",
        "auth_time": now.unix_seconds(), "acr": "1", "sid": format!("{:032x}", number.wrapping_mul(0x9e37_79b9)),
        "typ": "ID", "email": email, "email_verified": true, "name": name, "given_name": "Person",
        "family_name": number.to_string(), "preferred_username": format!("person{number}"), "locale": "en",
        "zoneinfo": "Europe/Berlin", "department": "platform", "employee_number": number, "cost_center": "4711",
        "groups": groups,
    });
    let member = |id: &String| Group { id: id.as_str().into(), name: "".into(), email: "".into() };
    NewSession {
        key,
        principal: Principal {
            issuer: "https://idp.corp.example/realms/corp".into(),
            subject: subject.as_str().into(),
        },
        provider: ProviderName::new("demo"),
        provider_session: Some(format!("{:032x}", number.wrapping_mul(0x9e37_79b9)).into()),
        profile: Profile {
            user_id: subject.as_str().into(),
            email: email.as_str().into(),
            name: name.as_str().into(),
            groups: Some(groups.iter().map(member).collect::<Groups>()),
        },
        claims_json: claims.to_string(),
        authenticated_at: now,
        acr: Some("1".into()),
        expires_at: now.saturating_add(Duration::from_secs(14 * 3600)),
        idle: None,
        tokens: Tokens {
            access_token: Some(SecretText::new("a".repeat(800))),
            refresh_token: Some(SecretText::new("r".repeat(600))),
            id_token: Some(SecretText::new("i".repeat(900))),
            expires_at: Some(now.saturating_add(Duration::from_secs(300))),
        },
    }
}

#[cfg(test)]
mod tests {
    use portcullis_identity::Claims;

    use super::*;

    #[test]
    fn everybody_has_twenty_claims() {
        let session = session(7, SessionKey::from_bytes([7; 32]), Timestamp::from_unix_seconds(1_800_000_000));
        assert_eq!(Claims::from_json(&session.claims_json).unwrap().len(), CLAIMS);
    }
}
