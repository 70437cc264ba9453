//! Whole answers of a target, each with what its client gets.

use super::answers::Answer;
use super::answers::Asked::{Get, Head, Old, OldThatStays};
use super::answers::Gets::{BadGateway, NoEnd, This};

/// First lines, and ends.
pub(super) const OTHERS: [Answer; 27] = [
    (
        "9112 4: a status that nobody knows",
        Get,
        "HTTP/1.1 299 What\r\nContent-Length: 0\r\n\r\n",
        This("HTTP/1.1 299 What\r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "9110 15: a status of no class",
        Get,
        "HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n",
        This("HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "9112 4: a reason of its own",
        Get,
        "HTTP/1.1 200 So be it\r\nContent-Length: 0\r\n\r\n",
        This("HTTP/1.1 200 So be it\r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "9112 4: no reason",
        Get,
        "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        This("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "9112 4: nor the space before it",
        Get,
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        This("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "9112 2.3: our own version for an older one",
        Get,
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        This("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ),
    (
        "9112 2.2: every line ends in LF alone",
        Get,
        "HTTP/1.1 200 OK\nContent-Length: 2\nX: 1\n\nhi",
        This("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: 1\r\n\r\nhi"),
    ),
    (
        "9112 6.3: a list of the same length",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
        This("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"),
    ),
    (
        "9112 6.3: chunks count more than a length",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        This("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ),
    (
        "9112 6.3: also before it",
        Get,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 1\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        This("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ),
    (
        "9112 6.3: until the end",
        Get,
        "HTTP/1.1 200 OK\r\n\r\nhi",
        This("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ),
    (
        "9112 6.3: nothing until the end",
        Get,
        "HTTP/1.0 200 OK\r\n\r\n",
        This("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ),
    (
        "9112 6.3: what is beyond a length",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi there",
        This("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ),
    (
        "9112 8: less than a length",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        NoEnd("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"),
    ),
    ("9112 8: nothing", Get, "", BadGateway),
    (
        "9112 8: half a head",
        Get,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
        BadGateway,
    ),
    (
        "9112 8: an interim answer alone",
        Old,
        "HTTP/1.1 103 Early Hints\r\n\r\n",
        BadGateway,
    ),
    (
        "9112 4: a status of two digits",
        Get,
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        BadGateway,
    ),
    (
        "9112 4: a status of four digits",
        Get,
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        BadGateway,
    ),
    (
        "9110 15: a status below 100",
        Get,
        "HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n",
        BadGateway,
    ),
    (
        "9110 2.5: another major version",
        Get,
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        BadGateway,
    ),
    (
        "9112 2.3: a name of small letters",
        Get,
        "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        BadGateway,
    ),
    ("9112 2.3: no first line", Get, "hello\r\n\r\n", BadGateway),
    (
        "9112 2.2: CR in the first line",
        Get,
        "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
        BadGateway,
    ),
    (
        "9112 6.1: chunks in HTTP/1.0",
        Get,
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        BadGateway,
    ),
    (
        "9110 7.8: a switch that nobody asked for",
        Get,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        BadGateway,
    ),
    (
        "9110 15.2.1: 100 that nobody asked for",
        Get,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        This("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ),
];

/// What has no body, whatever its head says.
pub(super) const BODILESS: [Answer; 12] = [
    (
        "9110 15.3.5: 204 has no body",
        Get,
        "HTTP/1.1 204 No Content\r\n\r\nhi",
        This("HTTP/1.1 204 No Content\r\n\r\n"),
    ),
    (
        "9110 8.6: nor a length",
        Get,
        "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi",
        This("HTTP/1.1 204 No Content\r\n\r\n"),
    ),
    (
        "9112 6.1: nor chunks",
        Get,
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        This("HTTP/1.1 204 No Content\r\n\r\n"),
    ),
    (
        "9110 15.4.5: 304 has no body",
        Get,
        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\nhi",
        This("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
    ),
    (
        "9110 8.6: but may have a length",
        Get,
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        This("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
    ),
    (
        "9112 6.3: and chunks that do not come",
        Get,
        "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
        This("HTTP/1.1 304 Not Modified\r\n\r\n"),
    ),
    (
        "9110 9.3.2: HEAD has a length and no body",
        Head,
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        This("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
    ),
    (
        "9110 9.3.2: also if a target sends one",
        Head,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        This("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
    ),
    (
        "9112 6.3: HEAD of chunks",
        Head,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        This("HTTP/1.1 200 OK\r\n\r\n"),
    ),
    (
        "9112 6.3: HEAD of chunks that a target sends",
        Head,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        This("HTTP/1.1 200 OK\r\n\r\n"),
    ),
    (
        "9112 6.3: HEAD of what has no end",
        Head,
        "HTTP/1.1 404 Not Found\r\n\r\n",
        This("HTTP/1.1 404 Not Found\r\n\r\n"),
    ),
    (
        "9110 9.3.2: nor has our own answer",
        Head,
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        This(
            "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain\r\nserver: roadstead\r\ncontent-length: 16\r\n\r\n",
        ),
    ),
];

/// To a client of HTTP/1.0.
pub(super) const OF_OLDER: [Answer; 8] = [
    (
        "9110 6.2: an older client is told our version",
        Old,
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        This("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ),
    (
        "9112 6.1: it gets no chunks",
        Old,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\nX: 1\r\n\r\n",
        This("HTTP/1.1 200 OK\r\n\r\nhi!"),
    ),
    (
        "9112 6.3: nor a length that was not said",
        Old,
        "HTTP/1.1 200 OK\r\n\r\nhi",
        This("HTTP/1.1 200 OK\r\n\r\nhi"),
    ),
    (
        "9112 9.3: nor a connection that stays, where its end is that of the answer",
        OldThatStays,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        This("HTTP/1.1 200 OK\r\n\r\nhi"),
    ),
    (
        "9110 15.2: nor interim answers",
        Old,
        "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        This("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ),
    (
        "9110 15.2: nor one that nobody knows",
        Old,
        "HTTP/1.1 199 What\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        This("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ),
    (
        "9110 7.8: nor a switch",
        Old,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        BadGateway,
    ),
    (
        "9112 8: less than a length",
        Old,
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        NoEnd("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"),
    ),
];
