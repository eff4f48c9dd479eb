//! The userinfo endpoint (OpenID Connect Core 5.3): a second word about the same subject.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use url::Url;

use crate::claims::RawClaims;
use crate::discovery::Known;
use crate::error::UserinfoError;
use crate::observe::Call;
use crate::signature::verified_payload;
use crate::transport::{CallError, Transport};

/// What the endpoint says about `subject`, signed or not.
pub(crate) async fn fetch(
    endpoint: &Url,
    access_token: &str,
    transport: &Transport,
) -> Result<http::Response<Vec<u8>>, UserinfoError> {
    // RFC 6750, 2.1: in the header, never in the query. A token that does not fit into one is refused.
    let mut bearer = HeaderValue::try_from(format!("Bearer {access_token}"))
        .map_err(|_unwritable| UserinfoError::Call(CallError::NotARequest))?;
    bearer.set_sensitive(true);
    let request = http::Request::get(endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, bearer)
        .body(Vec::new())
        .map_err(|_unwritable| UserinfoError::Call(CallError::NotARequest))?;
    let answer = transport.send(Call::Userinfo, request).await.map_err(UserinfoError::Call)?;
    if answer.status() == http::StatusCode::OK {
        Ok(answer)
    } else {
        Err(UserinfoError::Status { status: answer.status().as_u16() })
    }
}

/// Reads an answer: a JSON object, or a signed one whose signature, issuer and audience are checked.
pub(crate) fn read(
    answer: &http::Response<Vec<u8>>,
    known: &Known,
    client_id: &str,
    subject: &str,
) -> Result<RawClaims, UserinfoError> {
    let claims = if is_jwt(answer) {
        signed(answer.body(), known, client_id)?
    } else {
        RawClaims::parse(answer.body()).map_err(|_unreadable| UserinfoError::Malformed)?
    };
    // OpenID Connect Core 5.3.2: `sub` must be there and must be the ID token's.
    match claims.text("sub") {
        Some(found) if found == subject => Ok(claims),
        Some(_) | None => Err(UserinfoError::SubjectMismatch),
    }
}

fn signed(body: &[u8], known: &Known, client_id: &str) -> Result<RawClaims, UserinfoError> {
    let token = std::str::from_utf8(body).map_err(|_not_text| UserinfoError::Malformed)?;
    let payload = verified_payload(token.trim(), &known.keys).map_err(|_cause| UserinfoError::Signature)?;
    let claims = RawClaims::parse(&payload).map_err(|_unreadable| UserinfoError::Malformed)?;
    // They should be there (5.3.2) and often are not; where they are, they must be right.
    if claims.has("iss") && claims.text("iss").as_deref() != Some(known.metadata.issuer.as_str()) {
        return Err(UserinfoError::Issuer);
    }
    if claims.has("aud") && !claims.texts("aud").iter().any(|audience| audience == client_id) {
        return Err(UserinfoError::Audience);
    }
    Ok(claims)
}

fn is_jwt(answer: &http::Response<Vec<u8>>) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/jwt"))
}
