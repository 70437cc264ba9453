//! Requests, and what of them a target sees.

/// What a target sees of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sees {
    /// This line, once.
    Line(&'static str),
    /// All that is there of a field, in this order.
    Values(&'static str, &'static [&'static str]),
    /// No field of this name.
    No(&'static str),
}
use Sees::{Line, No, Values};

pub(super) type PassedOn = (&'static str, &'static str, &'static [Sees]);

/// First lines, as they come and as they go on; the host is `a` on both sides.
pub(super) const LINES: [(&str, &str, &str); 19] = [
    (
        "9112 2.3: our own version for an older one",
        "GET / HTTP/1.0",
        "GET / HTTP/1.1",
    ),
    (
        "9110 9.1: a method that nobody knows",
        "PURGE / HTTP/1.1",
        "PURGE / HTTP/1.1",
    ),
    (
        "9110 9.1: a method of small letters is another",
        "get / HTTP/1.1",
        "get / HTTP/1.1",
    ),
    (
        "9110 5.6.2: a method of all that tokens have",
        "!#$%&'*+-.^_`|~1 / HTTP/1.1",
        "!#$%&'*+-.^_`|~1 / HTTP/1.1",
    ),
    ("9110 9.3.8: TRACE", "TRACE / HTTP/1.1", "TRACE / HTTP/1.1"),
    (
        "9110 7.7: a path with dots",
        "GET /a/./../b HTTP/1.1",
        "GET /a/./../b HTTP/1.1",
    ),
    (
        "9110 7.7: empty segments",
        "GET //a///b/ HTTP/1.1",
        "GET //a///b/ HTTP/1.1",
    ),
    (
        "9110 7.7: escapes in either case",
        "GET /%2f%2F%41?%3d HTTP/1.1",
        "GET /%2f%2F%41?%3d HTTP/1.1",
    ),
    (
        "9110 7.7: escapes that are none",
        "GET /%zz% HTTP/1.1",
        "GET /%zz% HTTP/1.1",
    ),
    (
        "9110 7.7: an empty query",
        "GET /? HTTP/1.1",
        "GET /? HTTP/1.1",
    ),
    (
        "9110 7.7: marks in a query",
        "GET /a;b=c?d=/?&e=:@!$'() HTTP/1.1",
        "GET /a;b=c?d=/?&e=:@!$'() HTTP/1.1",
    ),
    (
        "9112 3.2.2: a whole URI",
        "GET http://a/b?c HTTP/1.1",
        "GET /b?c HTTP/1.1",
    ),
    (
        "9110 4.2.3: a scheme in capitals",
        "GET HTTP://a/b HTTP/1.1",
        "GET /b HTTP/1.1",
    ),
    (
        "9112 3.2.1: a URI without a path",
        "GET http://a HTTP/1.1",
        "GET / HTTP/1.1",
    ),
    (
        "9112 3.2.1: a URI of host and query",
        "GET http://a?c HTTP/1.1",
        "GET /?c HTTP/1.1",
    ),
    (
        "9112 3.2.4: OPTIONS of the server",
        "OPTIONS * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ),
    (
        "9112 3.2.4: OPTIONS of a URI without a path",
        "OPTIONS http://a HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ),
    (
        "9112 3.2.4: OPTIONS of a URI with a path",
        "OPTIONS http://a/ HTTP/1.1",
        "OPTIONS / HTTP/1.1",
    ),
    (
        "9112 3.2.4: OPTIONS of a URI with a query",
        "OPTIONS http://a?c HTTP/1.1",
        "OPTIONS /?c HTTP/1.1",
    ),
];

/// Fields of a GET behind its host.
pub(super) const FIELDS: [PassedOn; 39] = [
    (
        "9110 5.1: a field that nobody knows",
        "X-New: 1",
        &[Line("x-new: 1")],
    ),
    ("9110 5.5: a value without one", "X:", &[Line("x: ")]),
    (
        "9110 5.5: white space around a value",
        "X: \t 1 \t",
        &[Line("x: 1")],
    ),
    ("9110 5.5: none before it", "X:1", &[Line("x: 1")]),
    (
        "9110 5.5: white space within",
        "X: a \t b",
        &[Line("x: a \t b")],
    ),
    (
        "9110 5.5: a byte beyond ASCII",
        "X: \u{e9}",
        &[Line("x: \u{e9}")],
    ),
    (
        "9110 5.6.4: commas in quotes",
        "X: \"a, b\"",
        &[Line("x: \"a, b\"")],
    ),
    (
        "9110 5.3: the order of equal names",
        "X: 2\r\nY: 1\r\nx: 1\r\nX: 3",
        &[Values("x", &["2", "1", "3"])],
    ),
    (
        "9110 7.2: the host stays as it is",
        "Accept: b",
        &[Values("host", &["a"])],
    ),
    (
        "9110 7.6.1: Connection",
        "Connection: keep-alive",
        &[No("connection")],
    ),
    (
        "9110 7.6.1: close, which is for us",
        "Connection: close",
        &[No("connection")],
    ),
    (
        "9110 7.6.1: what it names",
        "Connection: X-A\r\nX-A: 1",
        &[No("x-a"), No("connection")],
    ),
    (
        "9110 7.6.1: in another case",
        "connection: x-a\r\nX-A: 1",
        &[No("x-a")],
    ),
    (
        "9110 7.6.1: before it is named",
        "X-A: 1\r\nConnection: X-A",
        &[No("x-a")],
    ),
    (
        "9110 7.6.1: as often as it is there",
        "X-A: 1\r\nConnection: X-A\r\nX-A: 2",
        &[No("x-a")],
    ),
    (
        "9110 7.6.1: a list",
        "Connection: close, X-A ,X-B\r\nX-A: 1\r\nX-B: 1",
        &[No("x-a"), No("x-b")],
    ),
    (
        "9110 7.6.1: lines",
        "Connection: X-A\r\nConnection: X-B\r\nX-A: 1\r\nX-B: 1",
        &[No("x-a"), No("x-b")],
    ),
    (
        "9110 5.6.1: empty elements",
        "Connection: , ,X-A,\r\nX-A: 1",
        &[No("x-a")],
    ),
    (
        "9110 7.6.1: not what is almost named",
        "Connection: X-A\r\nX-AB: 1",
        &[Line("x-ab: 1")],
    ),
    (
        "9110 7.6.1: nor what it would break",
        "Connection: Host",
        &[Line("host: a")],
    ),
    (
        "9110 7.6.1: Keep-Alive",
        "Keep-Alive: timeout=5",
        &[No("keep-alive")],
    ),
    (
        "9110 7.6.1: Proxy-Connection",
        "Proxy-Connection: keep-alive",
        &[No("proxy-connection")],
    ),
    (
        "9110 10.1.4: TE",
        "TE: trailers\r\nConnection: TE",
        &[No("te"), No("connection")],
    ),
    (
        "9110 10.1.4: TE that is not named",
        "TE: gzip;q=0.5",
        &[No("te")],
    ),
    (
        "9110 7.8: Upgrade without Connection",
        "Upgrade: websocket",
        &[No("upgrade")],
    ),
    (
        "9110 7.8: Upgrade of another option",
        "Upgrade: x\r\nConnection: close",
        &[No("upgrade")],
    ),
    (
        "9110 7.8: what Connection says is said again",
        "Upgrade: x\r\nConnection: Upgrade",
        &[Line("upgrade: x"), Line("connection: upgrade")],
    ),
    (
        "9110 10.1.1: an expectation without a body",
        "Expect: 100-continue",
        &[No("expect")],
    ),
    (
        "9110 7.6.3: earlier proxies",
        "Via: 1.0 b\r\nVia: 1.1 c",
        &[Values("via", &["1.0 b", "1.1 c"])],
    ),
    (
        "9110 11.7.2: credentials for a proxy that asks",
        "Proxy-Authorization: x",
        &[Line("proxy-authorization: x")],
    ),
    (
        "9110 11.6.2: credentials",
        "Authorization: Basic x",
        &[Line("authorization: Basic x")],
    ),
    (
        "9110 6.6.2: Trailer",
        "Trailer: X-Sum",
        &[Line("trailer: X-Sum")],
    ),
    (
        "9110 7.6.2: Max-Forwards of GET is left alone",
        "Max-Forwards: 0",
        &[Line("max-forwards: 0")],
    ),
    (
        "9110 7.7: Cache-Control",
        "Cache-Control: no-transform",
        &[Line("cache-control: no-transform")],
    ),
    (
        "9110 8.4: Content-Encoding",
        "Content-Encoding: gzip",
        &[Line("content-encoding: gzip")],
    ),
    (
        "9110 14.2: Range",
        "Range: bytes=0-1",
        &[Line("range: bytes=0-1")],
    ),
    (
        "9110 13.1: conditions",
        "If-None-Match: \"a\", W/\"b\"",
        &[Line("if-none-match: \"a\", W/\"b\"")],
    ),
    (
        "9110 8.6: no length where there is no body",
        "Accept: b",
        &[No("content-length"), No("transfer-encoding")],
    ),
    (
        "9110 8.6: an empty body that is said",
        "Content-Length: 0",
        &[Line("content-length: 0")],
    ),
];

/// Requests that are of other parts.
pub(super) const OTHERS: [PassedOn; 11] = [
    (
        "9112 3.2.2: a URI's host counts",
        "GET http://b:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
        &[Values("host", &["b:81"])],
    ),
    (
        "9112 3.2.2: also of HTTP/1.0",
        "GET http://b/ HTTP/1.0\r\n\r\n",
        &[Values("host", &["b"])],
    ),
    (
        "9112 3.2: an empty host",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        &[Values("host", &[""])],
    ),
    (
        "9112 3.2: HTTP/1.0 without a host",
        "GET / HTTP/1.0\r\n\r\n",
        &[Values("host", &[""])],
    ),
    (
        "9112 2.2: empty lines before it",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[Line("GET / HTTP/1.1")],
    ),
    (
        "9110 7.8: Upgrade of HTTP/1.0",
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        &[No("upgrade"), No("connection")],
    ),
    (
        "9112 C.2.2: Keep-Alive of HTTP/1.0",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\nKeep-Alive: 1\r\n\r\n",
        &[No("keep-alive"), No("connection")],
    ),
    (
        "9110 7.6.2: OPTIONS counts down",
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n\r\n",
        &[Values("max-forwards", &["9"])],
    ),
    (
        "9110 7.6.2: TRACE counts down",
        "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n\r\n",
        &[Values("max-forwards", &["0"])],
    ),
    (
        "9110 8.6: POST without a body",
        "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[Values("content-length", &["0"])],
    ),
    (
        "9112 6.3: POST of HTTP/1.0 without a length",
        "POST / HTTP/1.0\r\n\r\n",
        &[Values("content-length", &["0"])],
    ),
];

impl Sees {
    /// Returns what is seen in its place, if it is not.
    pub(super) fn fails(self, seen: &str) -> Option<String> {
        let (head, _body) = seen.split_once("\r\n\r\n").unwrap_or((seen, ""));
        let of = |wanted: &str| -> Vec<&str> {
            let fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
            let ours = fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            ours.map(|(_, value)| value).collect()
        };
        let holds = match self {
            Line(line) => head.split("\r\n").filter(|seen| *seen == line).count() == 1,
            Values(name, values) => of(name) == values,
            No(name) => of(name).is_empty(),
        };
        (!holds).then(|| format!("{self:?} is not in {seen:?}"))
    }
}
