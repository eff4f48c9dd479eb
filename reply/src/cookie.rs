//! Our cookies (RFC 6265bis).

use http::HeaderValue;
use portcullis_config::{Cookie, SameSite};
use portcullis_identity::Timestamp;

use crate::moment;

/// How long a browser keeps its bind cookie; a sign-in takes ten minutes at most.
const BIND_SECONDS: u64 = 86_400;

/// `Set-Cookie` for a session: `credential` lives as long as the session, at most.
#[must_use]
pub fn session_cookie(cookie: &Cookie, credential: &str, expires_at: Timestamp, now: Timestamp) -> HeaderValue {
    let seconds = expires_at.since(now).as_secs();
    let lifetime = format!("; Max-Age={seconds}; Expires={}", moment::http_date(expires_at));
    set_cookie(&cookie.name, credential, cookie.same_site, cookie.domain.as_deref(), &lifetime)
}

/// `Set-Cookie` for what ties a sign-in to this browser. It comes back on the top-level GET from the
/// provider, so it is never `SameSite=Strict`, and it belongs to one host, so it never has a `Domain`.
#[must_use]
pub fn bind_cookie(cookie: &Cookie, value: &str) -> HeaderValue {
    let same_site = match cookie.same_site {
        SameSite::Lax | SameSite::Strict => SameSite::Lax,
        SameSite::None => SameSite::None,
    };
    set_cookie(&cookie.bind_name, value, same_site, None, &format!("; Max-Age={BIND_SECONDS}"))
}

/// `Set-Cookie` fields that delete the session cookie. Where the configuration has a `Domain` there are two:
/// a cookie of the host alone, from before the setting, would else live on and hide the other.
#[must_use]
pub fn clear_session_cookie(cookie: &Cookie) -> Vec<HeaderValue> {
    let over = format!("; Max-Age=0; Expires={}", moment::http_date(Timestamp::EPOCH));
    let clear = |domain| set_cookie(&cookie.name, "", cookie.same_site, domain, &over);
    let with_domain = cookie.domain.as_deref().map(|domain| clear(Some(domain)));
    std::iter::once(clear(None)).chain(with_domain).collect()
}

fn set_cookie(name: &str, value: &str, same_site: SameSite, domain: Option<&str>, lifetime: &str) -> HeaderValue {
    let same_site = match same_site {
        SameSite::Lax => "Lax",
        SameSite::Strict => "Strict",
        SameSite::None => "None",
    };
    let domain = domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default();
    let text = format!("{name}={value}; Path=/{domain}{lifetime}; Secure; HttpOnly; SameSite={same_site}");
    // Names and domains are checked with the configuration, values are base64url; an empty field, which
    // browsers ignore, stands for the impossible rest.
    let mut header = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(784_111_777);
    const LATER: Timestamp = Timestamp::from_unix_seconds(784_111_777 + 50_400);

    fn ours() -> Cookie {
        Cookie {
            name: "__Host-portcullis".into(),
            bind_name: "__Host-portcullis-bind".into(),
            domain: None,
            same_site: SameSite::Lax,
        }
    }

    fn pomerium() -> Cookie {
        Cookie {
            name: "_pomerium".into(),
            bind_name: "_pomerium_csrf".into(),
            domain: Some("corp.test".into()),
            same_site: SameSite::Strict,
        }
    }

    #[test]
    fn a_session_cookie_is_bound_to_the_host_and_ends_with_the_session() {
        assert_eq!(
            session_cookie(&ours(), "abc", LATER, NOW),
            "__Host-portcullis=abc; Path=/; Max-Age=50400; Expires=Sun, 06 Nov 1994 22:49:37 GMT; Secure; HttpOnly; \
             SameSite=Lax"
        );
        assert_eq!(
            session_cookie(&pomerium(), "abc", LATER, NOW),
            "_pomerium=abc; Path=/; Domain=corp.test; Max-Age=50400; Expires=Sun, 06 Nov 1994 22:49:37 GMT; Secure; \
             HttpOnly; SameSite=Strict"
        );
        let over = session_cookie(&ours(), "abc", NOW, LATER);
        assert!(over.to_str().unwrap().contains("; Max-Age=0; "), "a session that is over is not kept");
    }

    #[test]
    fn a_bind_cookie_comes_back_from_the_provider() {
        assert_eq!(
            bind_cookie(&ours(), "xyz"),
            "__Host-portcullis-bind=xyz; Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            bind_cookie(&pomerium(), "xyz"),
            "_pomerium_csrf=xyz; Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn clearing_names_the_cookie_as_it_was_set() {
        let over = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly";
        assert_eq!(clear_session_cookie(&ours()), [format!("__Host-portcullis=; Path=/; {over}; SameSite=Lax")]);
        assert_eq!(
            clear_session_cookie(&pomerium()),
            [
                format!("_pomerium=; Path=/; {over}; SameSite=Strict"),
                format!("_pomerium=; Path=/; Domain=corp.test; {over}; SameSite=Strict"),
            ]
        );
    }

    #[test]
    fn cookies_are_marked_as_secret() {
        assert!(session_cookie(&ours(), "abc", LATER, NOW).is_sensitive());
        assert_eq!(format!("{:?}", bind_cookie(&ours(), "abc")), "Sensitive");
    }
}
