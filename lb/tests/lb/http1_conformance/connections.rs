//! What becomes of connections, on both sides.

/// Requests that come at once on one connection, and the statuses and bodies of all answers to them before it is closed. A target
/// says of each request its method, its path and its body. `REFUSED` comes behind each: who reads on refuses it.
pub(super) const SEQUENCES: [(&str, &str, &[&str]); 19] = [
    (
        "9112 9.3: it stays",
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
        &["200 GET /1 ", "400 "],
    ),
    (
        "9112 9.3: also for an option that nobody knows",
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: x\r\n\r\n",
        &["200 GET /1 ", "400 "],
    ),
    (
        "9112 9.6: it ends when its client wants",
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["200 GET /1 "],
    ),
    (
        "9112 9.6: in any case",
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n",
        &["200 GET /1 "],
    ),
    (
        "9112 9.6: on any line",
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n",
        &["200 GET /1 "],
    ),
    (
        "9112 9.3: whatever else it wants",
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n",
        &["200 GET /1 "],
    ),
    (
        "9112 9.3: in HTTP/1.0 it ends",
        "GET /1 HTTP/1.0\r\n\r\n",
        &["200 GET /1 "],
    ),
    (
        "9112 9.3: unless its client wants it",
        "GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        &["200 GET /1 ", "400 "],
    ),
    (
        "9112 9.3: and does not want it closed",
        "GET /1 HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
        &["200 GET /1 "],
    ),
    (
        "9112 9.3.2: answers in order",
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
        &["200 GET /1 ", "200 GET /2 ", "200 GET /3 ", "400 "],
    ),
    (
        "9112 2.2: empty lines between them",
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        &["200 GET /1 ", "200 GET /2 ", "400 "],
    ),
    (
        "9112 6.3: a body is no request",
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        &["200 POST /1 GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", "400 "],
    ),
    (
        "9112 6.3: nor are chunks",
        "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n",
        &["200 POST /1 GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", "400 "],
    ),
    (
        "9112 7.1.2: nor are trailers",
        "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGET: /2\r\n\r\n",
        &["200 POST /1 ", "400 "],
    ),
    (
        "9112 6.3: without a length there is no body",
        "POST /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        &["200 POST /1 ", "200 GET /2 ", "400 "],
    ),
    (
        "9110 9.3.1: GET may have a body",
        "GET /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        &["200 GET /1 hi", "200 GET /2 ", "400 "],
    ),
    (
        "9110 7.6.2: OPTIONS that may go no further",
        "OPTIONS /1 HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        &["200 200 OK\n", "400 "],
    ),
    (
        "9110 7.6.2: TRACE that may go no further",
        "TRACE /1 HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        &["405 405 Method Not Allowed\n", "400 "],
    ),
    (
        "9112 2.2: nothing comes after what is malformed",
        "GET /1\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        &["400 "],
    ),
];

pub(super) const REFUSED: &str = "no request\r\n\r\n";

/// Answers of a target, and whether its connection is used for another request.
pub(super) const OF_TARGETS: [(&str, &str, bool); 14] = [
    (
        "9112 9.3: it stays",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        true,
    ),
    (
        "9112 9.3: also behind chunks",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        true,
    ),
    (
        "9112 9.3: also behind trailers",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: 1\r\n\r\n",
        true,
    ),
    (
        "9112 9.3: also behind no body",
        "HTTP/1.1 204 No Content\r\n\r\n",
        true,
    ),
    (
        "9112 9.3: also behind an interim answer",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        true,
    ),
    (
        "9112 9.6: it ends when the target says so",
        "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nhi",
        false,
    ),
    (
        "9112 9.3: whatever else it says",
        "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
        false,
    ),
    (
        "9112 9.3: in HTTP/1.0 it ends",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        false,
    ),
    (
        "9112 9.3: unless the target wants it",
        "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi",
        true,
    ),
    (
        "9112 6.3: behind a length beside chunks it ends",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        false,
    ),
    (
        "9112 6.3: so it does when more comes than the length",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi there",
        false,
    ),
    (
        "9112 6.3: or a body where there is none",
        "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi",
        false,
    ),
    (
        "9112 6.3: or another answer",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        false,
    ),
    (
        "9112 6.3: and when nothing is said",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nhi",
        false,
    ),
];
