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

pub(super) const BODIES: [Body; 18] = [
    (
        "9112 6.2: a length",
        "Content-Length: 2",
        "hi",
        &[Line("content-length: 2"), No("transfer-encoding")],
        "hi",
    ),
    (
        "9110 8.6: the same length twice",
        "Content-Length: 2\r\nContent-Length: 2",
        "hi",
        &[Line("content-length: 2")],
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
