//! A policy's reasons in words that tell the person what is missing and nobody what would help.

/// The sentence for a reason of a decision; `None` for those that speak of what holds.
pub(crate) fn sentence(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "claim-unauthorized" => "Your account does not have an attribute that this page asks for.",
        "client-certificate-required" => "This page asks for a client certificate, and your browser sent none.",
        "client-certificate-unauthorized" => "Your client certificate is not one of those this page accepts.",
        "invalid-client-certificate" => "Your client certificate is not valid here.",
        "date-unauthorized" | "day-of-week-unauthorized" | "time-of-day-unauthorized" => {
            "This page cannot be used at this time."
        }
        "device-unauthenticated" => "This page asks for an enrolled device.",
        "device-unauthorized" => "Your device is not one of those this page accepts.",
        "domain-unauthorized" => "Your e-mail domain is not one of those this page accepts.",
        "email-unauthorized" | "user-unauthorized" => "Your account is not on this page’s list.",
        "groups-unauthorized" => "You are not in a group that has access.",
        "http-method-unauthorized" => "You may look at this page, but not do this.",
        "http-path-unauthorized" => "This part of the site is not open to you.",
        "mcp-tool-unauthorized" => "This tool is not open to you.",
        "record-unauthorized" => "No entry for you was found in the directory that decides here.",
        "reject" => "This page is closed to everybody.",
        "source-ip-unauthorized" => "Your network is not one of those this page accepts.",
        "user-unauthenticated" => "You are not signed in.",
        _ => return None,
    })
}
