//! The bodies of requests: what a target gets of them, and which it must never take for whole.

use super::passed_on::Sees::{self, Line, No, Values};

/// Fields of a POST behind its host, with its body; what a target sees of the head, and all that it gets behind it.
pub(super) type Body = (
    &'static str,
    &'static str,
    &'static str,
    &'static [Sees],
    &'static str,
);

const CHUNKED: &str = "Transfer-Encoding: chunked";
const CHUNKS: &str = "2\r\nhi\r\n0\r\n\r\n";

/// The head of a body in chunks is the same for all.
const IN_CHUNKS: &[Sees] = &[
    Values("transfer-encoding", &["chunked"]),
    No("content-length"),
    No("x"),
    Values("host", &["a"]),
];

pub(super) const BODIES: [Body; 17] = [
    (
        "9112 6.2: a length",
        "Content-Length: 2",
        "hi",
        &[Line("content-length: 2"), No("transfer-encoding")],
        "hi",
    ),
    (
        "9110 8.6: a length with zeros before it",
        "Content-Length: 002",
        "hi",
        &[],
        "hi",
    ),
    (
        "9110 7.6.1: a length that Connection names",
        "Connection: Content-Length\r\nContent-Length: 2",
        "hi",
        &[Line("content-length: 2")],
        "hi",
    ),
    ("9112 6.1: chunks", CHUNKED, CHUNKS, IN_CHUNKS, CHUNKS),
    (
        "9112 7: a coding's name in any case",
        "transfer-encoding: CHUNKED",
        CHUNKS,
        IN_CHUNKS,
        CHUNKS,
    ),
    (
        "9110 7.6.1: chunks that Connection names",
        "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
        CHUNKS,
        IN_CHUNKS,
        CHUNKS,
    ),
    (
        "9112 7.1: chunks of nothing",
        CHUNKED,
        "0\r\n\r\n",
        IN_CHUNKS,
        "0\r\n\r\n",
    ),
    (
        "9112 7.1: zeros before a size, and capitals",
        CHUNKED,
        "00A\r\n0123456789\r\n000\r\n\r\n",
        IN_CHUNKS,
        "a\r\n0123456789\r\n0\r\n\r\n",
    ),
    (
        "9112 7.1.1: extensions",
        CHUNKED,
        "2;a;b=c;d=\"e\"\r\nhi\r\n0;f\r\n\r\n",
        IN_CHUNKS,
        CHUNKS,
    ),
    (
        "9112 7.1.1: extensions behind white space",
        CHUNKED,
        "2 ; a = b\r\nhi\r\n0\r\n\r\n",
        IN_CHUNKS,
        CHUNKS,
    ),
    (
        "9112 7.1.2: trailers stay behind the body",
        CHUNKED,
        "2\r\nhi\r\n0\r\nX: 1\r\n\r\n",
        IN_CHUNKS,
        "2\r\nhi\r\n0\r\nx: 1\r\n\r\n",
    ),
    (
        "9110 5.3: the order of equal trailers",
        CHUNKED,
        "0\r\nX: 2\r\nx: 1\r\n\r\n",
        IN_CHUNKS,
        "0\r\nx: 2\r\nx: 1\r\n\r\n",
    ),
    (
        "9110 6.5.1: a host that comes too late",
        CHUNKED,
        "0\r\nHost: b\r\nX: 1\r\n\r\n",
        IN_CHUNKS,
        "0\r\nx: 1\r\n\r\n",
    ),
    (
        "9110 6.5.1: a length that comes too late",
        CHUNKED,
        "0\r\nContent-Length: 9\r\n\r\n",
        IN_CHUNKS,
        "0\r\n\r\n",
    ),
    (
        "9110 6.5.1: a coding that comes too late",
        CHUNKED,
        "0\r\nTransfer-Encoding: gzip\r\n\r\n",
        IN_CHUNKS,
        "0\r\n\r\n",
    ),
    (
        "9110 7.6.1: trailers of this connection",
        CHUNKED,
        "0\r\nConnection: X\r\nKeep-Alive: 1\r\nTE: a\r\nUpgrade: b\r\n\r\n",
        IN_CHUNKS,
        "0\r\n\r\n",
    ),
    (
        "9110 7.6.1: trailers that Connection names",
        "Connection: X\r\nTransfer-Encoding: chunked",
        "0\r\nX: 1\r\nY: 1\r\n\r\n",
        IN_CHUNKS,
        "0\r\ny: 1\r\n\r\n",
    ),
];

/// The same of other methods and versions.
pub(super) const OF_OTHERS: [(&str, &str, &str); 5] = [
    (
        "9110 9.3.1: of GET",
        "GET / HTTP/1.1\r\nHost: a",
        "content-length: 2",
    ),
    (
        "9110 9.3.5: of DELETE",
        "DELETE / HTTP/1.1\r\nHost: a",
        "content-length: 2",
    ),
    (
        "9110 9.3.7: of OPTIONS",
        "OPTIONS * HTTP/1.1\r\nHost: a",
        "content-length: 2",
    ),
    (
        "9110 9.1: of a method that nobody knows",
        "X / HTTP/1.1\r\nHost: a",
        "content-length: 2",
    ),
    (
        "9112 6.2: of HTTP/1.0",
        "PUT / HTTP/1.0",
        "content-length: 2",
    ),
];

/// Bodies that break off, or are none: their heads, what comes of them, and what a target may get of them at most.
pub(super) const BROKEN: [(&str, &str, &str, &str); 20] = [
    (
        "9112 7.1: a size that is none",
        CHUNKED,
        "x\r\nhi\r\n0\r\n\r\n",
        "",
    ),
    (
        "9112 7.1: a signed size",
        CHUNKED,
        "+2\r\nhi\r\n0\r\n\r\n",
        "",
    ),
    (
        "9112 7.1: a size below zero",
        CHUNKED,
        "-2\r\nhi\r\n0\r\n\r\n",
        "",
    ),
    (
        "9112 7.1: a size with its base",
        CHUNKED,
        "0x2\r\nhi\r\n0\r\n\r\n",
        "",
    ),
    (
        "9112 7.1: a size in two words",
        CHUNKED,
        "1 1\r\nhi\r\n0\r\n\r\n",
        "",
    ),
    (
        "9112 7.1: a space before a size",
        CHUNKED,
        " 2\r\nhi\r\n0\r\n\r\n",
        "",
    ),
    ("9112 7.1: no size", CHUNKED, "\r\n\r\n", ""),
    ("9112 7.1: extensions of no size", CHUNKED, ";a\r\n\r\n", ""),
    (
        "9112 7.1: a size of 68 bits",
        CHUNKED,
        "10000000000000002\r\nhi\r\n0\r\n\r\n",
        "",
    ),
    (
        "9112 7.1: a size of 68 bits that ends in zeros",
        CHUNKED,
        "10000000000000000\r\n\r\n",
        "",
    ),
    (
        "9112 2.2: a size whose line ends in LF alone",
        CHUNKED,
        "2\nhi\r\n0\r\n\r\n",
        "",
    ),
    (
        "9112 2.2: LF in an extension",
        CHUNKED,
        "2;a\nb\r\nhi\r\n0\r\n\r\n",
        "",
    ),
    (
        "9112 2.2: CR in an extension",
        CHUNKED,
        "2;a\rb\r\nhi\r\n0\r\n\r\n",
        "",
    ),
    (
        "9112 7.1: a chunk that is longer",
        CHUNKED,
        "2\r\nhi!\r\n0\r\n\r\n",
        "2\r\nhi\r\n",
    ),
    (
        "9112 7.1: a chunk that ends in LF alone",
        CHUNKED,
        "2\r\nhi\n0\r\n\r\n",
        "2\r\nhi\r\n",
    ),
    (
        "9112 7.1.2: a trailer without a colon",
        CHUNKED,
        "2\r\nhi\r\n0\r\nX\r\n\r\n",
        "2\r\nhi\r\n",
    ),
    (
        "9112 5.1: white space before a trailer's colon",
        CHUNKED,
        "0\r\nX : 1\r\n\r\n",
        "",
    ),
    (
        "9112 5.2: a folded trailer",
        CHUNKED,
        "0\r\nX: 1\r\n 2\r\n\r\n",
        "",
    ),
    (
        "9112 2.2: a trailer that ends in LF alone",
        CHUNKED,
        "0\r\nX: 1\n\r\n",
        "",
    ),
    (
        "9112 2.2: an end of LF alone",
        CHUNKED,
        "2\r\nhi\r\n0\r\n\n",
        "2\r\nhi\r\n",
    ),
];

/// The same when nothing comes any more.
pub(super) const SHORT: [(&str, &str, &str, &str); 6] = [
    (
        "9112 8: less than a length",
        "Content-Length: 3",
        "hi",
        "hi",
    ),
    ("9112 8: nothing of a length", "Content-Length: 3", "", ""),
    (
        "9112 8: no last chunk",
        CHUNKED,
        "2\r\nhi\r\n",
        "2\r\nhi\r\n",
    ),
    ("9112 8: half a chunk", CHUNKED, "3\r\nhi", "2\r\nhi\r\n"),
    (
        "9112 8: no end of the last line",
        CHUNKED,
        "2\r\nhi\r\n0\r\n",
        "2\r\nhi\r\n",
    ),
    ("9112 8: half of the trailers", CHUNKED, "0\r\nX: 1\r\n", ""),
];

/// Heads, what comes with them of a body, and whether their client is told to go on before the answer.
pub(super) const EXPECTATIONS: [(&str, &str, &str, bool); 12] = [
    (
        "9110 10.1.1: who waits is told",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2",
        "",
        true,
    ),
    (
        "9110 10.1.1: in any case",
        "PUT / HTTP/1.1\r\nHost: a\r\nexpect: 100-Continue\r\nContent-Length: 2",
        "",
        true,
    ),
    (
        "9110 10.1.1: of a list",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: x, 100-continue\r\nContent-Length: 2",
        "",
        true,
    ),
    (
        "9110 5.6.1: of empty elements",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: ,100-continue,\r\nContent-Length: 2",
        "",
        true,
    ),
    (
        "9110 10.1.1: on another line",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nExpect: 100-continue\r\nContent-Length: 2",
        "",
        true,
    ),
    (
        "9110 10.1.1: with any method",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2",
        "",
        true,
    ),
    (
        "9110 10.1.1: who has sent it is not told",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2",
        "hi",
        false,
    ),
    (
        "9110 10.1.1: nor who has sent some of it",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2",
        "h",
        false,
    ),
    (
        "9110 10.1.1: nor who has nothing to send",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue",
        "",
        false,
    ),
    (
        "9110 10.1.1: nor who does not wait",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2",
        "",
        false,
    ),
    (
        "9110 10.1.1: nor who waits for something else",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 2",
        "",
        false,
    ),
    (
        "9110 10.1.1: nor who speaks HTTP/1.0",
        "PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2",
        "",
        false,
    ),
];
