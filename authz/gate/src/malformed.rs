//! Why a request is refused before it is routed: every ambiguity by its name.

/// Why a head has no single meaning, or none we are willing to guess. All are answered with 400 but
/// [`Malformed::Misdirected`] (421), [`Malformed::TooManyFields`] and [`Malformed::HeadTooLarge`] (431),
/// [`Malformed::Expectation`] (417), [`Malformed::Connect`] and [`Malformed::Trace`] (405); `reply` has the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// No host: no `Host` on HTTP/1, neither `:authority` nor `Host` on HTTP/2 (RFC 9112 §3.2).
    #[error("the request names no host")]
    HostMissing,
    /// More than one `Host` field.
    #[error("the request names its host more than once")]
    HostRepeated,
    /// `Host` (or the authority) is not a plain name or address with an optional port: userinfo, list, space,
    /// backslash, percent, non-ASCII, empty or overlong label, bad port.
    #[error("the host is not a valid name")]
    Host,
    /// The absolute-form target or `:authority` names another host or port than `Host` (RFC 9113 §8.3.1).
    #[error("the target and the host header disagree")]
    HostDisagrees,
    /// The TLS name is bound to other client-certificate rules than the host that is asked for (RFC 9110 §15.5.20).
    #[error("the host does not belong to this connection")]
    Misdirected,
    /// The target is in no form we serve: not origin-form, absolute-form or `OPTIONS *`; or it has a fragment.
    #[error("the request target is not valid")]
    Target,
    /// `CONNECT` where no tunnel is offered.
    #[error("tunnels are not offered here")]
    Connect,
    /// `TRACE`: an upstream that answers it echoes what we tell it about the caller (RFC 9110 §9.3.8).
    #[error("TRACE is not offered here")]
    Trace,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("the path holds an invalid percent-encoding")]
    PathEncoding,
    /// A space, control character, NUL or backslash in the path, plain or encoded.
    #[error("the path holds a forbidden character")]
    PathCharacter,
    /// A dot segment that only some servers would see: beside `%2F` or with a `;` parameter.
    #[error("the path hides a dot segment")]
    PathHiddenDots,
    /// A `;` that begins its segment, so that only a parameter is left of it; or `;` beside `%3B` or `%2F`, where
    /// servers disagree on what the parameters are.
    #[error("the path holds a misleading parameter")]
    PathParameters,
    /// More `..` than segments: the path climbs above the root.
    #[error("the path climbs above the root")]
    PathAboveRoot,
    /// A control character or space in the query, or a second fragment mark.
    #[error("the query holds a forbidden character")]
    Query,
    /// More header fields than `limits.header_fields`.
    #[error("the request has too many header fields")]
    TooManyFields,
    /// A head of more than `limits.head_bytes`.
    #[error("the head of the request is too large")]
    HeadTooLarge,
    /// NUL, CR, LF or another control character in a header value; also what a folded line leaves behind.
    #[error("a header value holds a forbidden character")]
    FieldValue,
    /// `Content-Length` that is no plain decimal number, or too large.
    #[error("the content length is not valid")]
    ContentLength,
    /// `Content-Length` more than once, equal or not, or as a list (RFC 9112 §6.3 lets us refuse).
    #[error("the content length is given more than once")]
    ContentLengthRepeated,
    /// `Content-Length` beside `Transfer-Encoding`.
    #[error("the length of the body is given in two ways")]
    LengthAndEncoding,
    /// `Transfer-Encoding` other than `chunked` once, or on HTTP/1.0 or HTTP/2 (RFC 9112 §6.1, RFC 9113 §8.2.2).
    #[error("the transfer encoding is not supported")]
    TransferEncoding,
    /// A connection-specific field on HTTP/2 (RFC 9113 §8.2.2), or `TE` other than `trailers` there.
    #[error("a header field belongs to the connection, not to the request")]
    ConnectionField,
    /// `Expect` other than `100-continue`.
    #[error("the expectation cannot be met")]
    Expectation,
    /// `Upgrade: websocket` without the rest of a version 13 handshake (RFC 6455 §4.2.1), or with a body.
    #[error("the WebSocket handshake is not valid")]
    WebSocketHandshake,
    /// `X-Forwarded-For` or `Forwarded` of a trusted proxy that cannot be read.
    #[error("the forwarded address is not valid")]
    ForwardedAddress,
}

impl Malformed {
    /// One word for metrics and events, from a closed set.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::Host => "host",
            Self::HostDisagrees => "host_disagrees",
            Self::Misdirected => "misdirected",
            Self::Target => "target",
            Self::Connect => "connect",
            Self::Trace => "trace",
            Self::PathEncoding => "path_encoding",
            Self::PathCharacter => "path_character",
            Self::PathHiddenDots => "path_hidden_dots",
            Self::PathParameters => "path_parameters",
            Self::PathAboveRoot => "path_above_root",
            Self::Query => "query",
            Self::TooManyFields => "too_many_fields",
            Self::HeadTooLarge => "head_too_large",
            Self::FieldValue => "field_value",
            Self::ContentLength => "content_length",
            Self::ContentLengthRepeated => "content_length_repeated",
            Self::LengthAndEncoding => "length_and_encoding",
            Self::TransferEncoding => "transfer_encoding",
            Self::ConnectionField => "connection_field",
            Self::Expectation => "expectation",
            Self::WebSocketHandshake => "websocket_handshake",
            Self::ForwardedAddress => "forwarded_address",
        }
    }
}
