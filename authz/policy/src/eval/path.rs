//! The path a policy sees: percent-decoded, without the query.

/// Decodes a path as sent. A path that cannot be decoded to UTF-8, or holds a malformed escape, is
/// given as it was sent: no rule about a decoded path can mistake it for another.
pub(super) fn decoded(sent: &str) -> String {
    let path = sent.split_once('?').map_or(sent, |(path, _)| path);
    if !path.contains('%') {
        return path.to_owned();
    }
    decode(path).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| path.to_owned())
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
    fn paths_lose_their_query_and_their_escapes() {
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
            ("/a/../b", "/a/../b"),
        ] {
            assert_eq!(decoded(sent), seen, "{sent}");
        }
    }
}
