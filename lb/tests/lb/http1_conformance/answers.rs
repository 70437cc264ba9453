//! Answers as a target gives them, and as a client gets them.

use super::whole_answers::{BODILESS, OF_OLDER, OTHERS};
use Asked::{Get, Head, Old, OldThatStays};
use Gets::{BadGateway, NoEnd, This};

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    Get,
    Head,
    /// With HTTP/1.0.
    Old,
    /// The same, and wants its connection to stay.
    OldThatStays,
}

/// What a client gets, but for our date and the end of its connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gets<T = &'static str> {
    This(T),
    /// No more than this, and then the end of the connection: nobody may take it for whole.
    NoEnd(T),
    BadGateway,
}

pub(super) type Answer = (&'static str, Asked, &'static str, Gets);

/// An answer as it is given; whoever asks for it with its number gets that.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) asked: Asked,
    pub(super) answer: String,
    pub(super) gets: Gets<String>,
}

/// What our own answer says for an answer that is none.
const BAD_GATEWAY: &str = "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain\r\nserver: roadstead\r\n\
                           content-length: 16\r\n\r\n502 Bad Gateway\n";

impl Asked {
    pub(super) fn request(self, number: usize) -> String {
        match self {
            Get => format!("GET /{number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            Head => format!("HEAD /{number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            Old => format!("GET /{number} HTTP/1.0\r\n\r\n"),
            OldThatStays => format!("GET /{number} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        }
    }
}

impl Gets {
    fn behind(self, head: &str) -> Gets<String> {
        match self {
            This(whole) => This(format!("{head}{whole}")),
            NoEnd(most) => NoEnd(format!("{head}{most}")),
            BadGateway => BadGateway,
        }
    }
}

impl Gets<String> {
    pub(super) fn is(&self, answer: &str) -> bool {
        match self {
            This(whole) => answer == whole,
            NoEnd(most) => most.starts_with(answer),
            BadGateway => answer == BAD_GATEWAY,
        }
    }
}

pub(super) fn answers() -> Vec<Case> {
    let case = |name, asked, answer, gets| Case {
        name,
        asked,
        answer,
        gets,
    };
    let with = |fields: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{fields}\r\nhi");
    let fields = FIELDS.map(|(name, fields, seen)| case(name, Get, with(fields), This(with(seen))));
    let malformed = MALFORMED.map(|(name, fields)| {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n0\r\n\r\n");
        case(name, Get, answer, BadGateway)
    });
    let chunks = CHUNKS.map(|(name, body, gets)| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
        let answer = format!("{head}Connection: Private\r\n\r\n{body}");
        case(name, Get, answer, gets.behind(&format!("{head}\r\n")))
    });
    let whole = OTHERS.iter().chain(&BODILESS).chain(&OF_OLDER);
    let whole = whole
        .map(|&(name, asked, answer, gets)| case(name, asked, answer.to_owned(), gets.behind("")));
    let parts = fields.into_iter().chain(malformed).chain(chunks);
    parts.chain(whole).collect()
}

/// Fields of an answer with 200 and two bytes, and those that its client gets.
const FIELDS: [(&str, &str, &str); 24] = [
    (
        "9110 5.1: a field that nobody knows",
        "X-New: 1\r\n",
        "X-New: 1\r\n",
    ),
    (
        "9110 5.5: white space around a value",
        "X: \t 1 \t\r\n",
        "X: 1\r\n",
    ),
    ("9110 5.5: a value without one", "X:\r\n", "X: \r\n"),
    (
        "9110 5.5: a byte beyond ASCII",
        "X: \u{e9}\r\n",
        "X: \u{e9}\r\n",
    ),
    (
        "9110 5.3: the order of equal names",
        "X: 2\r\nY: 1\r\nx: 1\r\nX: 3\r\n",
        "X: 2\r\nY: 1\r\nx: 1\r\nX: 3\r\n",
    ),
    (
        "9110 5.3: cookies are never one line",
        "Set-Cookie: a\r\nSet-Cookie: b\r\n",
        "Set-Cookie: a\r\nSet-Cookie: b\r\n",
    ),
    (
        "9112 5.1: white space before the colon",
        "X : 1\r\nY\t : 2\r\n",
        "X: 1\r\nY: 2\r\n",
    ),
    (
        "9112 2.2: a line that ends in LF alone",
        "X: 1\nY: 2\r\n",
        "X: 1\r\nY: 2\r\n",
    ),
    (
        "9110 6.6.1: a target's date stays",
        "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
        "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
    ),
    (
        "9110 10.2.4: so does its name",
        "Server: it\r\n",
        "Server: it\r\n",
    ),
    (
        "9110 7.6.3: and those of other proxies",
        "Via: 1.0 b\r\nVia: 1.1 c\r\n",
        "Via: 1.0 b\r\nVia: 1.1 c\r\n",
    ),
    (
        "9110 6.6.2: and Trailer",
        "Trailer: X\r\n",
        "Trailer: X\r\n",
    ),
    (
        "9110 11.6.1: and challenges",
        "WWW-Authenticate: a, b c=\"d\"\r\n",
        "WWW-Authenticate: a, b c=\"d\"\r\n",
    ),
    ("9110 7.6.1: Connection", "Connection: keep-alive\r\n", ""),
    (
        "9110 7.6.1: what it names",
        "X: 1\r\nConnection: x\r\nX: 2\r\n",
        "",
    ),
    (
        "9110 7.6.1: a list",
        "Connection: close , X,,Y\r\nX: 1\r\nY: 2\r\nXY: 3\r\n",
        "XY: 3\r\n",
    ),
    (
        "9110 7.6.1: lines",
        "Connection: X\r\nConnection: Y\r\nX: 1\r\nY: 2\r\n",
        "",
    ),
    ("9110 7.6.1: Keep-Alive", "Keep-Alive: timeout=5\r\n", ""),
    (
        "9110 7.6.1: Proxy-Connection",
        "Proxy-Connection: keep-alive\r\n",
        "",
    ),
    ("9110 7.6.1: TE", "TE: trailers\r\n", ""),
    (
        "9110 7.8: Upgrade",
        "Upgrade: h2c\r\nConnection: upgrade\r\n",
        "",
    ),
    (
        "9110 7.6.1: not the length",
        "Connection: Content-Length\r\n",
        "",
    ),
    (
        "9110 8.6: the same length twice",
        "content-length: 2\r\n",
        "",
    ),
    (
        "9110 8.6: a list of the same length",
        "content-length: 2, 2\r\n",
        "",
    ),
];

/// Fields of an answer that is none with them.
const MALFORMED: [(&str, &str); 23] = [
    ("9112 5.2: a folded line", "X: 1\r\n 2"),
    ("9112 2.2: a space before the first field", " X: 1"),
    ("9110 5.1: no colon", "X"),
    ("9110 5.1: a name that is no token", "a b: 1"),
    ("9110 5.5: NUL", "X: a\0b"),
    ("9110 5.5: CR alone", "X: a\rb"),
    (
        "9112 6.3: two lengths",
        "Content-Length: 1\r\nContent-Length: 2",
    ),
    ("9112 6.3: a list of two lengths", "Content-Length: 2, 1"),
    (
        "9112 6.3: a list and another length",
        "Content-Length: 2, 2\r\nContent-Length: 1",
    ),
    ("9110 8.6: a signed length", "Content-Length: +2"),
    ("9110 8.6: a length below zero", "Content-Length: -2"),
    ("9110 8.6: an empty length", "Content-Length:"),
    ("9110 8.6: a hexadecimal length", "Content-Length: 0x2"),
    ("9110 8.6: a length with a unit", "Content-Length: 2b"),
    ("9110 8.6: a length of two words", "Content-Length: 2 2"),
    (
        "9110 8.6: 2 to the 64",
        "Content-Length: 18446744073709551616",
    ),
    (
        "9112 6.3: two lengths beside chunks",
        "Content-Length: 1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
    ),
    ("9112 6.1: another coding", "Transfer-Encoding: gzip"),
    (
        "9112 6.1: a coding beneath the chunks",
        "Transfer-Encoding: gzip, chunked",
    ),
    (
        "9112 6.1: chunks in chunks",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ),
    (
        "9112 6.1: a coding behind the chunks",
        "Transfer-Encoding: chunked, gzip",
    ),
    ("9112 6.1: almost chunks", "Transfer-Encoding: xchunked"),
    ("9112 7: no coding", "Transfer-Encoding:"),
];

/// Bodies in chunks, and what a client gets of them.
const CHUNKS: [(&str, &str, Gets); 20] = [
    (
        "9112 7.1: chunks",
        "2\r\nhi\r\n0\r\n\r\n",
        This("2\r\nhi\r\n0\r\n\r\n"),
    ),
    ("9112 7.1: none", "0\r\n\r\n", This("0\r\n\r\n")),
    (
        "9112 7.1: zeros before a size, and capitals",
        "00A\r\n0123456789\r\n00\r\n\r\n",
        This("a\r\n0123456789\r\n0\r\n\r\n"),
    ),
    (
        "9112 7.1.1: extensions",
        "2;a;b=\"c\"\r\nhi\r\n0;d\r\n\r\n",
        This("2\r\nhi\r\n0\r\n\r\n"),
    ),
    (
        "9112 7.1.2: trailers",
        "2\r\nhi\r\n0\r\nX: 2\r\nx: 1\r\n\r\n",
        This("2\r\nhi\r\n0\r\nx: 2\r\nx: 1\r\n\r\n"),
    ),
    (
        "9110 6.5.1: trailers that come too late",
        "0\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\nX: 1\r\n\r\n",
        This("0\r\nx: 1\r\n\r\n"),
    ),
    (
        "9110 7.6.1: trailers of this connection",
        "0\r\nConnection: X\r\nKeep-Alive: 1\r\nUpgrade: x\r\n\r\n",
        This("0\r\n\r\n"),
    ),
    (
        "9110 7.6.1: trailers that Connection names",
        "0\r\nPrivate: 1\r\nX: 1\r\n\r\n",
        This("0\r\nx: 1\r\n\r\n"),
    ),
    (
        "9112 6.3: what comes behind them",
        "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        This("0\r\n\r\n"),
    ),
    ("9112 8: no last chunk", "2\r\nhi\r\n", NoEnd("2\r\nhi\r\n")),
    ("9112 8: half a chunk", "3\r\nhi", NoEnd("2\r\nhi\r\n")),
    ("9112 8: no end of the last line", "0\r\n", NoEnd("")),
    ("9112 8: half of the trailers", "0\r\nX: 1\r\n", NoEnd("")),
    (
        "9112 7.1: a size that is none",
        "x\r\nhi\r\n0\r\n\r\n",
        NoEnd(""),
    ),
    (
        "9112 7.1: a signed size",
        "+2\r\nhi\r\n0\r\n\r\n",
        NoEnd(""),
    ),
    (
        "9112 7.1: a size with its base",
        "0x2\r\nhi\r\n0\r\n\r\n",
        NoEnd(""),
    ),
    ("9112 7.1: no size", "\r\nhi\r\n0\r\n\r\n", NoEnd("")),
    (
        "9112 7.1: a size of 68 bits",
        "10000000000000002\r\nhi\r\n0\r\n\r\n",
        NoEnd(""),
    ),
    (
        "9112 7.1: a chunk that is longer",
        "2\r\nhi!\r\n0\r\n\r\n",
        NoEnd("2\r\nhi\r\n"),
    ),
    (
        "9112 5.1: a trailer without a colon",
        "0\r\nX\r\n\r\n",
        NoEnd(""),
    ),
];
