//! The path a policy sees, as the proxy would have it: percent-decoded, dot segments resolved, runs of slashes merged,
//! without the query.

/// Decodes a path as sent. A path that cannot be decoded to UTF-8, holds a malformed escape or leads above the root is
/// given as it was sent: no rule about a decoded path can mistake it for another.
pub(super) fn decoded(sent: &str) -> String {
    let path = sent.split_once('?').map_or(sent, |(path, _)| path);
    if !path.contains('%') && !path.contains("/.") && !path.contains("//") {
        return path.to_owned();
    }
    canonical(path).unwrap_or_else(|| path.to_owned())
}

/// Dot segments count decoded, as `%2e` is a spelling of a dot (RFC 3986 §6.2.2.2); `%2F` divides no segments.
fn canonical(path: &str) -> Option<String> {
    let text = |raw: &str| decode(raw).and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(plain) = path.strip_prefix('/') else { return text(path) };
    let mut segments = Vec::new();
    let mut ends_with_slash = true;
    for raw in plain.split('/') {
        let segment = text(raw)?;
        ends_with_slash = matches!(&*segment, "" | "." | "..");
        match &*segment {
            "" | "." => {}
            ".." => drop(segments.pop()?),
            _ => segments.push(segment),
        }
    }
    let end = if ends_with_slash && !segments.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", segments.join("/")))
}

fn decode(path: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn paths_are_seen_as_the_proxy_sees_them() {
        for (sent, seen) in [
            ("/", "/"),
            ("/a?b=/c", "/a"),
            ("/a%20b%2Fc?x", "/a b/c"),
            ("/%C3%BC", "/ü"),
            ("/a+b", "/a+b"),
            ("/%3Fx", "/?x"),
            ("/%zz", "/%zz"),
            ("/%f", "/%f"),
            ("/%ff", "/%ff"),
            ("/%2561", "/%61"),
            ("", ""),
            ("/a/../b", "/b"),
            ("/a/%2E%2e/b?/..", "/b"),
            ("/a/./b/", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/..", "/"),
            ("//a///b", "/a/b"),
            ("/a/..b/.c", "/a/..b/.c"),
            ("/..", "/.."),
            ("/a/../../b", "/a/../../b"),
            ("/a%2F..%2Fb", "/a/../b"),
            ("a/../b", "a/../b"),
            ("*", "*"),
        ] {
            assert_eq!(decoded(sent), seen, "{sent}");
        }
    }
}
