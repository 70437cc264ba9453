//! Requests that two servers could read differently. In each of them stands, for who reads it so, another request to
//! `/smuggled`.

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It never reaches a target, and its connection ends.
    Refused,
    /// It is refused when its head has been passed on already: its target sees it break off.
    BrokenOff,
    /// So it is when its client hangs up before its end.
    CutShort,
    /// It is odd, and can be read in one way only.
    Accepted,
}

use Verdict::{Accepted, BrokenOff, CutShort, Refused};

/// One request, what it tries, and what becomes of it.
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
    head: &'static str,
    body: &'static str,
}

const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n";

impl Attempt {
    /// Returns its bytes. What breaks off is known by its path.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let path = match self.verdict {
            BrokenOff | CutShort => "/broken",
            Refused | Accepted => "/attempt",
        };
        let head = self.head.replace("PATH", path);
        let body = self.body.replace("HIDDEN", HIDDEN);
        [head, body].concat().into_bytes()
    }
}

const fn attempt(
    name: &'static str,
    verdict: Verdict,
    head: &'static str,
    body: &'static str,
) -> Attempt {
    Attempt {
        name,
        verdict,
        head,
        body,
    }
}

/// The corpus: after RFC 9112 (2.2, 3.2, 5.1, 5.2, 6.1, 6.3, 7.1), and what is known of real attacks.
pub(crate) const CORPUS: &[Attempt] = &[
    attempt(
        "length and coding",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "coding and length",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 100\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "two lengths",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a list of lengths",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 44\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a length with a sign",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a negative length",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a hexadecimal length",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a length with spaces within",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 4 4\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "an empty length",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a length beyond all numbers",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "an unknown coding",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "chunked is not last",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "chunked twice",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "two codings in two lines",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "a coding in quotes",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "a vertical tab before the coding",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "a coding in HTTP/1.0",
        Refused,
        "POST PATH HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "a space before the colon",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "a space before a name",
        Refused,
        "POST PATH HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "a folded line",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
        "0\r\n\r\nHIDDEN",
    ),
    attempt(
        "a line that ends in LF",
        Refused,
        "POST PATH HTTP/1.1\r\nHost: a\r\nX-A: b\nContent-Length: 44\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a head that ends in LF",
        Refused,
        "GET PATH HTTP/1.1\r\nHost: a\r\nX-A: b\n\n",
        "HIDDEN",
    ),
    attempt(
        "a request line that ends in LF",
        Refused,
        "GET PATH HTTP/1.1\nHost: a\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a CR within a value",
        Refused,
        "GET PATH HTTP/1.1\r\nHost: a\r\nX-A: b\rContent-Length: 44\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a NUL within a value",
        Refused,
        "GET PATH HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a NUL within a name",
        Refused,
        "GET PATH HTTP/1.1\r\nHost: a\r\nContent-Length\0: 44\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a line without a colon",
        Refused,
        "GET PATH HTTP/1.1\r\nHost: a\r\nContent-Length 44\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a name of nothing",
        Refused,
        "GET PATH HTTP/1.1\r\nHost: a\r\n: 44\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a name outside of ASCII",
        Refused,
        "GET PATH HTTP/1.1\r\nHost: a\r\nContent\u{fe63}Length: 44\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "two hosts",
        Refused,
        "GET PATH HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "HIDDEN",
    ),
    attempt("no host", Refused, "GET PATH HTTP/1.1\r\n\r\n", "HIDDEN"),
    attempt(
        "a host with a path",
        Refused,
        "GET PATH HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a host with user information",
        Refused,
        "GET PATH HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a list of hosts",
        Refused,
        "GET PATH HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a target with a space",
        Refused,
        "GET PATH /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "an unknown version",
        Refused,
        "GET PATH HTTP/1.9\r\nHost: a\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a version with more digits",
        Refused,
        "GET PATH HTTP/1.10\r\nHost: a\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "no version",
        Refused,
        "GET PATH\r\nHost: a\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a version in small letters",
        Refused,
        "GET PATH http/1.1\r\nHost: a\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a method with a colon",
        Refused,
        "GET: PATH HTTP/1.1\r\nHost: a\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a chunk size with a prefix",
        BrokenOff,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0x0\r\n\r\nHIDDEN",
    ),
    attempt(
        "a negative chunk size",
        BrokenOff,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "-1\r\n\r\nHIDDEN",
    ),
    attempt(
        "a chunk size beyond all numbers",
        BrokenOff,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "10000000000000000\r\n\r\nHIDDEN",
    ),
    attempt(
        "a chunk size that ends in LF",
        BrokenOff,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "1\nZ\r\n0\r\n\r\nHIDDEN",
    ),
    attempt(
        "an extension that ends in LF",
        BrokenOff,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "1;a\nZ\r\n0\r\n\r\nHIDDEN",
    ),
    attempt(
        "a chunk longer than its size",
        BrokenOff,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "1\r\nZZ\r\n0\r\n\r\nHIDDEN",
    ),
    attempt(
        "a chunk without an end",
        BrokenOff,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "1\r\nZ0\r\n\r\nHIDDEN",
    ),
    attempt(
        "a body shorter than its length",
        CutShort,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 444\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a chunked body without an end",
        CutShort,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "fff\r\nHIDDEN",
    ),
    attempt(
        "equal lengths",
        Accepted,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
        "ok",
    ),
    attempt(
        "chunked in capitals",
        Accepted,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n",
        "2\r\nok\r\n0\r\n\r\n",
    ),
    attempt(
        "extensions of chunks",
        Accepted,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "2;a=\"b\"\r\nok\r\n0;c\r\n\r\n",
    ),
    attempt(
        "zeros before a chunk size",
        Accepted,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0002\r\nok\r\n000\r\n\r\n",
    ),
    attempt(
        "a length among the trailers",
        Accepted,
        "POST PATH HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "2\r\nok\r\n0\r\nContent-Length: 44\r\n\r\n",
    ),
    attempt(
        "a body that looks like a request",
        Accepted,
        "POST PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 46\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a GET with a body that looks like a request",
        Accepted,
        "GET PATH HTTP/1.1\r\nHost: a\r\nContent-Length: 46\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a length that Connection names",
        Accepted,
        "POST PATH HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 46\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "a host that Connection names",
        Accepted,
        "GET PATH HTTP/1.1\r\nHost: a\r\nConnection: Host, close\r\n\r\n",
        "",
    ),
    attempt(
        "an upgrade to HTTP/2 with a body",
        Accepted,
        "POST PATH HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 46\r\n\r\n",
        "HIDDEN",
    ),
    attempt(
        "an expectation",
        Accepted,
        "POST PATH HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        "ok",
    ),
    attempt(
        "another host in the target",
        Accepted,
        "GET http://a.example/attempt HTTP/1.1\r\nHost: b.example\r\n\r\n",
        "",
    ),
];
