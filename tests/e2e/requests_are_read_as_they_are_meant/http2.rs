//! Requests in HTTP/2 that would be two of HTTP/1.1, in which the targets get them.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::ensure;

use crate::attempt::Verdict::{self, Accepted, BrokenOff, Refused};
use crate::attempt::{HIDDEN, path_of};
use crate::frames::{
    DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, OK, RST_STREAM, frame, literals,
};

/// How an answer with 400 begins: with an index of the static table (RFC 7541 A).
const BAD_REQUEST: &[u8] = &[0x8c];

type Field = (&'static str, &'static str);

/// A request, what it tries, and what becomes of it.
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
    /// In the place of the usual pseudo-header of its name.
    instead: Option<Field>,
    fields: &'static [Field],
    body: &'static [&'static str],
    trailers: &'static [Field],
}

const fn attempt(
    name: &'static str,
    verdict: Verdict,
    fields: &'static [Field],
    body: &'static [&'static str],
) -> Attempt {
    Attempt {
        name,
        verdict,
        instead: None,
        fields,
        body,
        trailers: &[],
    }
}

/// What is nowhere accepted in a pseudo-header.
const fn instead(name: &'static str, field: Field) -> Attempt {
    Attempt {
        instead: Some(field),
        ..attempt(name, Refused, &[], &[])
    }
}

/// After RFC 9113 (8.1.1, 8.2.1, 8.2.2, 8.3, 10.3), and what is known of real attacks.
pub(crate) const CORPUS: &[Attempt] = &[
    attempt(
        "a length of nothing",
        BrokenOff,
        &[("content-length", "0")],
        &["HIDDEN"],
    ),
    attempt(
        "a length that is too short",
        BrokenOff,
        &[("content-length", "2")],
        &["ok", "HIDDEN"],
    ),
    attempt(
        "a length that is too long",
        BrokenOff,
        &[("content-length", "444")],
        &["HIDDEN"],
    ),
    attempt(
        "two lengths",
        Refused,
        &[("content-length", "46"), ("content-length", "0")],
        &["HIDDEN"],
    ),
    attempt(
        "equal lengths",
        Refused,
        &[("content-length", "46"), ("content-length", "46")],
        &["HIDDEN"],
    ),
    attempt(
        "a signed length",
        Refused,
        &[("content-length", "+2")],
        &["ok"],
    ),
    attempt(
        "a coding",
        Refused,
        &[("transfer-encoding", "chunked")],
        &["0\r\n\r\nHIDDEN"],
    ),
    attempt(
        "a coding in capitals",
        Refused,
        &[("Transfer-Encoding", "chunked")],
        &["0\r\n\r\nHIDDEN"],
    ),
    attempt(
        "a coding behind a space",
        Refused,
        &[(" transfer-encoding", "chunked")],
        &["0\r\n\r\nHIDDEN"],
    ),
    attempt(
        "a connection",
        Refused,
        &[("connection", "content-length")],
        &["HIDDEN"],
    ),
    attempt(
        "an upgrade",
        Refused,
        &[("upgrade", "h2c"), ("http2-settings", "")],
        &[],
    ),
    attempt(
        "a line's end in a value",
        Refused,
        &[("x", "1\r\n\r\nHIDDEN")],
        &[],
    ),
    attempt(
        "a line feed in a value",
        Refused,
        &[("x", "1\ntransfer-encoding: chunked")],
        &["0\r\n\r\nHIDDEN"],
    ),
    attempt(
        "a line's end in a name",
        Refused,
        &[("x: 1\r\n\r\nHIDDEN", "1")],
        &[],
    ),
    attempt(
        "a colon in a name",
        Refused,
        &[("transfer-encoding: chunked\r\nx", "1")],
        &["0\r\n\r\nHIDDEN"],
    ),
    attempt("a zero byte in a value", Refused, &[("x", "1\0")], &[]),
    instead(
        "a line's end in the path",
        (":path", "/ HTTP/1.1\r\nhost: a\r\n\r\nHIDDEN"),
    ),
    instead("a space in the path", (":path", "/smuggled HTTP/1.1")),
    instead(
        "a path in absolute form",
        (":path", "http://a.example/smuggled"),
    ),
    instead(
        "a path of another authority",
        (":path", "a.example/smuggled"),
    ),
    instead(
        "a line's end in the method",
        (":method", "GET /smuggled HTTP/1.1\r\nx: 1\r\n\r\nGET"),
    ),
    instead(
        "a space in the method",
        (":method", "GET /smuggled HTTP/1.1"),
    ),
    instead(
        "a line's end in the authority",
        (":authority", "a\r\n\r\nHIDDEN"),
    ),
    instead("a path in the authority", (":authority", "a/smuggled?")),
    instead("a line's end in the scheme", (":scheme", "http\r\nhost: a")),
    instead("a path in the scheme", (":scheme", "http://a/smuggled?")),
    attempt("another host", Refused, &[("host", "b")], &[]),
    attempt(
        "a pseudo-header behind a field",
        Refused,
        &[("x", "1"), (":path", "/smuggled")],
        &[],
    ),
    attempt("a body without a length", Accepted, &[], &["HIDDEN"]),
    Attempt {
        instead: Some((":method", "GET")),
        ..attempt(
            "a body of a GET without a length",
            Accepted,
            &[],
            &["HIDDEN"],
        )
    },
    attempt(
        "what looks like the end of chunks",
        Accepted,
        &[],
        &["0\r\n\r\n", "HIDDEN"],
    ),
    attempt(
        "a length, in pieces",
        Accepted,
        &[("content-length", "4")],
        &["o", "", "k", "ok"],
    ),
    attempt(
        "cookies apart",
        Accepted,
        &[("cookie", "a=1"), ("cookie", "b=2")],
        &[],
    ),
    Attempt {
        trailers: &[("content-length", "44"), ("host", "b")],
        ..attempt(
            "a length and a host among the trailers",
            Accepted,
            &[],
            &["ok"],
        )
    },
    Attempt {
        trailers: &[("x", "1\r\n\r\nHIDDEN")],
        ..attempt("a line's end in a trailer", BrokenOff, &[], &["ok"])
    },
];

impl Attempt {
    /// Returns its frames, on the first stream of a connection.
    fn bytes(&self) -> Vec<u8> {
        let usual = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path_of(self.verdict)),
            (":authority", "a"),
        ];
        let usual = usual.map(|field| self.instead.filter(|own| own.0 == field.0).unwrap_or(field));
        let end_of = |is_end: bool| if is_end { END_STREAM } else { 0 };
        let head = block(&[&usual, self.fields].concat());
        let flags = END_HEADERS | end_of(self.body.is_empty());
        let mut bytes = frame(HEADERS, flags, 1, head).bytes();
        for (number, piece) in self.body.iter().enumerate() {
            let is_end = number + 1 == self.body.len() && self.trailers.is_empty();
            let piece = piece.replace("HIDDEN", HIDDEN);
            bytes.extend(frame(DATA, end_of(is_end), 1, piece).bytes());
        }
        if !self.trailers.is_empty() {
            let flags = END_HEADERS | END_STREAM;
            bytes.extend(frame(HEADERS, flags, 1, block(self.trailers)).bytes());
        }
        bytes
    }

    /// Sends it on a connection of its own; fails if it becomes of it what must not.
    pub(crate) async fn send(&self, port: u16) -> anyhow::Result<()> {
        let mut connection = Frames::open(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
        connection.send(self.bytes()).await;
        let mut answered = Vec::new();
        while let Some(frame) = connection.next().await {
            let is_over = frame.flags & END_STREAM != 0 || frame.kind == RST_STREAM;
            if frame.kind == GOAWAY || (frame.stream == 1 && is_over) {
                answered.push(frame);
                break;
            }
            answered.push(frame);
        }
        let mut heads = answered.iter().filter(|frame| frame.kind == HEADERS);
        let is_as_expected = match (self.verdict, heads.next()) {
            (Accepted, head) => head.is_some_and(|head| head.payload.starts_with(OK)),
            // The stream, or the connection, is over without a word.
            (_, None) => true,
            (_, Some(head)) => head.payload.starts_with(BAD_REQUEST),
        };
        ensure!(is_as_expected, "{}: {answered:?}", self.name);
        Ok(())
    }
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let fill = |text: &str| text.replace("HIDDEN", HIDDEN);
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (fill(name), fill(value)))
        .collect();
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    literals(&fields)
}
