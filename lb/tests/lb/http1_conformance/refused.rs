//! Requests that no target may get, each with its answer. Where a rule lets a server be lenient, this one is not: what two readers
//! could read in two ways is refused.

type Refused = (&'static str, Vec<u8>, u16);

/// First lines; a sound head follows.
const LINES: [(&str, &str, u16); 20] = [
    (
        "9112 3: two spaces after the method",
        "GET  / HTTP/1.1",
        400,
    ),
    (
        "9112 3: two spaces after the target",
        "GET /  HTTP/1.1",
        400,
    ),
    ("9112 3: a tab for a space", "GET\t/ HTTP/1.1", 400),
    ("9112 3: a space after the version", "GET / HTTP/1.1 ", 400),
    ("9112 3: a space before the method", " GET / HTTP/1.1", 400),
    ("9112 3.2: a space in the target", "GET /a b HTTP/1.1", 400),
    ("9112 3.1: a method that is no token", "G@T / HTTP/1.1", 400),
    ("9112 2.3: no version", "GET /", 400),
    ("9112 2.3: half a version", "GET / HTTP/1", 400),
    ("9112 2.3: a version of two digits", "GET / HTTP/1.10", 400),
    ("9112 2.3: a name of small letters", "GET / http/1.1", 400),
    ("9110 2.5: another major version", "GET / HTTP/3.0", 400),
    ("9112 3.2: a fragment", "GET /a#b HTTP/1.1", 400),
    (
        "9112 3.2.1: a path without its slash",
        "GET a/b HTTP/1.1",
        400,
    ),
    ("9112 3.2.3: an authority for GET", "GET a:80 HTTP/1.1", 400),
    ("9112 3.2.4: an asterisk for GET", "GET * HTTP/1.1", 400),
    (
        "9110 4.2.1: a target without a host",
        "GET http:///b HTTP/1.1",
        400,
    ),
    (
        "9110 4.2.4: user information",
        "GET http://me@a/ HTTP/1.1",
        400,
    ),
    (
        "9112 3.2.3: CONNECT with a path",
        "CONNECT /b HTTP/1.1",
        400,
    ),
    (
        "9110 9.3.6: CONNECT to a proxy for none",
        "CONNECT a:80 HTTP/1.1",
        405,
    ),
];

/// Fields behind the host of a request that could have a body.
const FIELDS: [(&str, &str, u16); 37] = [
    ("9112 5.1: a space before the colon", "X : 1", 400),
    (
        "9112 5.1: a tab before the colon",
        "Content-Length\t: 1",
        400,
    ),
    ("9112 5.2: a folded line", "X: 1\r\n 2", 400),
    ("9112 5.2: a line folded with a tab", "X:\r\n\t2", 400),
    ("9112 2.2: a line that ends in LF alone", "X: 1\nY: 2", 400),
    ("9110 5.1: no colon", "X", 400),
    ("9110 5.1: no name", ": 1", 400),
    ("9110 5.1: a name that is no token", "a(b): 1", 400),
    ("9110 5.1: a name with a space", "a b: 1", 400),
    ("9110 5.5: NUL", "X: a\0b", 400),
    ("9110 5.5: CR alone", "X: a\rb", 400),
    ("9110 5.5: a control character", "X: a\x01b", 400),
    ("9112 3.2: two hosts", "Host: b", 400),
    ("9112 3.2: the same host twice", "host: a", 400),
    (
        "9112 6.3: two lengths",
        "Content-Length: 1\r\nContent-Length: 2",
        400,
    ),
    (
        "9110 8.6: the same length twice",
        "Content-Length: 1\r\nContent-Length: 1",
        400,
    ),
    (
        "9112 6.3: a list of two lengths",
        "Content-Length: 1, 2",
        400,
    ),
    (
        "9110 8.6: a list of equal lengths",
        "Content-Length: 1, 1",
        400,
    ),
    ("9110 8.6: a signed length", "Content-Length: +1", 400),
    ("9110 8.6: a length below zero", "Content-Length: -1", 400),
    ("9110 8.6: an empty length", "Content-Length:", 400),
    ("9110 8.6: a hexadecimal length", "Content-Length: 0x1", 400),
    (
        "9110 8.6: a length with a fraction",
        "Content-Length: 1.0",
        400,
    ),
    (
        "9110 8.6: a length of two words",
        "Content-Length: 1 1",
        400,
    ),
    ("9110 8.6: a length with a unit", "Content-Length: 1b", 400),
    ("9110 8.6: a length in quotes", "Content-Length: \"1\"", 400),
    (
        "9110 8.6: 2 to the 64",
        "Content-Length: 18446744073709551616",
        400,
    ),
    (
        "9112 6.3: a length and chunks",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        400,
    ),
    (
        "9112 6.3: chunks and a length",
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
        400,
    ),
    (
        "9112 6.3: chunks that are not the last",
        "Transfer-Encoding: chunked, gzip",
        400,
    ),
    (
        "9112 6.3: not the last line",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
        400,
    ),
    ("9112 6.3: no chunks", "Transfer-Encoding: gzip", 400),
    (
        "9112 6.3: almost chunks",
        "Transfer-Encoding: xchunked",
        400,
    ),
    (
        "9112 6.3: chunks with a parameter",
        "Transfer-Encoding: chunked;a=b",
        400,
    ),
    (
        "9112 6.1: a coding beneath the chunks",
        "Transfer-Encoding: gzip, chunked",
        501,
    ),
    (
        "9112 6.1: on a line before",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        501,
    ),
    (
        "9112 6.1: chunks in chunks",
        "Transfer-Encoding: chunked, chunked",
        501,
    ),
];

/// RFC 9112 3.2: what is no host.
const HOSTS: [&str; 17] = [
    "a b", "a/b", "a?b", "a#b", "a,b", "a@b", "a\\b", "a<b", "a^b", "a:b", "a:-1", "a:80:80",
    "a%zz", "[::1", "::1", "[::1]b", "\u{e9}",
];

/// Requests that are not of the same parts as others.
const OTHERS: [(&str, &str, u16); 9] = [
    ("9112 3.2: no host", "GET / HTTP/1.1\r\n\r\n", 400),
    (
        "9112 3.2: a host in the target alone",
        "GET http://a/ HTTP/1.1\r\n\r\n",
        400,
    ),
    (
        "9112 3.2: two hosts beside another",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        400,
    ),
    (
        "9112 2.2: a space before the first field",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        400,
    ),
    (
        "9112 2.2: LF after the first line",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        400,
    ),
    (
        "9112 2.2: LF for the last line",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        400,
    ),
    (
        "9112 6.1: chunks in HTTP/1.0",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("9112 2.2: nothing of HTTP", "\x16\x03\x01\x00\x05", 400),
    (
        "9112 2.3: the beginning of HTTP/2, and no more",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        400,
    ),
];

pub(super) fn refused() -> Vec<Refused> {
    let mut all = Vec::new();
    for (name, line, status) in LINES {
        all.push((
            name,
            format!("{line}\r\nHost: a\r\n\r\n").into_bytes(),
            status,
        ));
    }
    for (name, fields, status) in FIELDS {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        all.push((name, head.into_bytes(), status));
    }
    for host in HOSTS {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        all.push(("9112 3.2: a malformed host", head.into_bytes(), 400));
    }
    for (name, request, status) in OTHERS {
        all.push((name, request.into(), status));
    }
    all.extend(too_long());
    all
}

/// Beyond the bound of a head, which is 64 KiB.
fn too_long() -> [Refused; 3] {
    let long = "x".repeat(70_000);
    let target = format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n");
    let field = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n");
    let fields = "X: 1\r\n".repeat(1000);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    [
        ("9112 3: a target that is too long", target.into(), 414),
        ("9110 5.4: a field that is too long", field.into(), 431),
        ("9110 5.4: too many fields", many.into(), 431),
    ]
}
