//! Requests that only their stream has to suffer for.

use crate::harness::frames::{
    DATA, END_HEADERS, END_STREAM, Frame, HEADERS, frame, headers, literals,
};

/// Requests that are malformed (RFC 9113 8.1.1): an error of their stream, or an answer with 400; the connection goes on.
pub(super) fn malformed() -> Vec<(&'static str, Vec<Frame>)> {
    let head = |fields: &[(&str, &str)]| {
        vec![frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            1,
            literals(fields),
        )]
    };
    let (method, scheme, path, host) = (
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "lb"),
    );
    let further = |name, value| vec![headers(1, END_STREAM, &[(name, value)])];
    vec![
        ("a name in capitals", further("X-Upper", "1")),
        ("a name with a space", further("a b", "1")),
        ("an empty name", further("", "1")),
        ("a value with a line's end", further("x", "1\r\ny: 2")),
        ("a value with a zero byte", further("x", "1\0")),
        ("Connection", further("connection", "close")),
        ("Keep-Alive", further("keep-alive", "timeout=5")),
        ("Proxy-Connection", further("proxy-connection", "close")),
        ("Transfer-Encoding", further("transfer-encoding", "chunked")),
        ("Upgrade", further("upgrade", "websocket")),
        ("TE but for trailers", further("te", "gzip")),
        ("a pseudo-header of answers", further(":status", "200")),
        ("an unknown pseudo-header", further(":unknown", "1")),
        (
            "a pseudo-header behind a field",
            head(&[method, scheme, path, ("x", "1"), host]),
        ),
        ("no method", head(&[scheme, path, host])),
        ("no scheme", head(&[method, path, host])),
        ("no path", head(&[method, scheme, host])),
        (
            "an empty path",
            head(&[method, scheme, (":path", ""), host]),
        ),
        (
            "a path without its slash",
            head(&[method, scheme, (":path", "a"), host]),
        ),
        ("two methods", head(&[method, method, scheme, path, host])),
        ("two paths", head(&[method, scheme, path, path, host])),
        ("no host", head(&[method, scheme, path])),
        ("two hosts that differ", further("host", "other")),
        (
            "a host with user information",
            head(&[method, scheme, path, (":authority", "a@lb")]),
        ),
        (
            "CONNECT with a path",
            head(&[(":method", "CONNECT"), scheme, path, host]),
        ),
        (
            "two lengths",
            vec![headers(
                1,
                END_STREAM,
                &[("content-length", "1"), ("content-length", "2")],
            )],
        ),
        (
            "the same length twice",
            vec![
                headers(1, 0, &[("content-length", "1"), ("content-length", "1")]),
                frame(DATA, END_STREAM, 1, [b'x'; 1]),
            ],
        ),
        ("a length that is none", further("content-length", "+1")),
        (
            "more data than the length",
            vec![
                headers(1, 0, &[("content-length", "1")]),
                frame(DATA, END_STREAM, 1, [b'x'; 2]),
            ],
        ),
        (
            "less data than the length",
            vec![
                headers(1, 0, &[("content-length", "3")]),
                frame(DATA, END_STREAM, 1, [b'x'; 2]),
            ],
        ),
        ("a length without data", further("content-length", "3")),
        (
            "trailers that are not the end",
            vec![
                headers(1, 0, &[]),
                frame(HEADERS, END_HEADERS, 1, literals(&[("x", "1")])),
            ],
        ),
    ]
}
