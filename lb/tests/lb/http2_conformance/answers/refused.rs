//! Answers of which nobody gets the end.

use super::super::window;
use super::{OK, head, last_data, last_head};
use crate::harness::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PADDED, PUSH_PROMISE,
    frame, get, literals,
};

type Row = (&'static str, Vec<Frame>);

/// Answers that are malformed (8.1.1): nobody gets their end.
pub(super) fn malformed() -> Vec<Row> {
    let answer = |fields: &[(&str, &str)]| vec![head(fields), last_data("data")];
    let with = |name, value| answer(&[OK, (name, value)]);
    let begun = |behind: Frame| vec![head(&[OK]), frame(DATA, 0, 1, *b"data"), behind];
    let trailer = |name, value| begun(last_head(&[(name, value)]));
    let length = ("content-length", "5");
    vec![
        ("more data than the length", with("content-length", "3")),
        ("less data than the length", with("content-length", "5")),
        (
            "less data, and trailers",
            vec![
                head(&[OK, length]),
                frame(DATA, 0, 1, *b"data"),
                last_head(&[("x", "1")]),
            ],
        ),
        ("a length without data", vec![last_head(&[OK, length])]),
        (
            "two lengths",
            answer(&[OK, ("content-length", "4"), length]),
        ),
        ("a list of lengths", with("content-length", "4, 5")),
        ("a length that is none", with("content-length", "+4")),
        (
            "a length beyond all",
            with("content-length", "99999999999999999999"),
        ),
        // 8.2.2: what concerns a connection of HTTP/1.1.
        ("Connection", with("connection", "close")),
        ("Keep-Alive", with("keep-alive", "timeout=5")),
        ("Proxy-Connection", with("proxy-connection", "close")),
        ("Transfer-Encoding", with("transfer-encoding", "chunked")),
        ("Upgrade", with("upgrade", "websocket")),
        ("TE", with("te", "gzip")),
        // 8.2 and 8.2.1.
        ("a name in capitals", with("X-Upper", "1")),
        ("a name with a space", with("a b", "1")),
        ("a name with a colon", with("a:b", "1")),
        ("a name with a line's end", with("a\r\nb", "1")),
        ("an empty name", with("", "1")),
        ("a value with a line's end", with("x", "1\r\ny: 2")),
        ("a value with CR", with("x", "1\ry")),
        ("a value with LF", with("x", "1\ny")),
        ("a value with a zero byte", with("x", "1\0")),
        // 8.3 and 8.3.2.
        ("no field at all", answer(&[])),
        ("no status", answer(&[("x", "1")])),
        ("two statuses", answer(&[OK, OK])),
        (
            "two statuses that differ",
            answer(&[OK, (":status", "204")]),
        ),
        ("a status that is no number", answer(&[(":status", "2x0")])),
        ("a status of two digits", answer(&[(":status", "20")])),
        ("a status of four digits", answer(&[(":status", "2000")])),
        (
            "a status with a line's end",
            answer(&[(":status", "200\r\n")]),
        ),
        ("an unknown pseudo-header", with(":unknown", "1")),
        ("a pseudo-header behind a field", answer(&[("x", "1"), OK])),
        // 8.1: interim answers are not the end, and trailers are.
        (
            "an interim answer that is the end",
            vec![last_head(&[(":status", "103")])],
        ),
        (
            "data behind an interim answer",
            answer(&[(":status", "103")]),
        ),
        (
            "a switch that is the end",
            vec![last_head(&[(":status", "101")])],
        ),
        ("data behind a switch", answer(&[(":status", "101")])),
        ("trailers that are not the end", begun(head(&[("x", "1")]))),
        ("a second head", begun(head(&[OK]))),
        ("Connection in trailers", trailer("connection", "close")),
        (
            "Transfer-Encoding in trailers",
            trailer("transfer-encoding", "chunked"),
        ),
        ("a line's end in trailers", trailer("x", "1\r\ny: 2")),
        (
            "a pseudo-header behind a trailer",
            begun(last_head(&[("x", "1"), OK])),
        ),
    ]
}

/// Answers with frames that their connection must not have.
pub(super) fn breaking() -> Vec<Row> {
    let within = |wrong: Frame| vec![head(&[OK]), wrong, last_data("data")];
    let block = |bytes: &[u8]| vec![frame(HEADERS, END_HEADERS, 1, bytes), last_data("data")];
    let promise = [&[0, 0, 0, 2][..], &get(2).payload].concat();
    let promise = frame(PUSH_PROMISE, END_HEADERS, 1, promise);
    let long = literals(&[("x", &"1".repeat(100))]).repeat(170);
    vec![
        // 8.4: we have said that we take none.
        (
            "a promise before the head",
            vec![promise.clone(), head(&[OK]), last_data("data")],
        ),
        ("a promise behind the head", within(promise)),
        (
            "data before the head",
            vec![frame(DATA, 0, 1, *b"data"), head(&[OK]), last_data("")],
        ),
        ("data of no stream", within(frame(DATA, 0, 0, *b"data"))),
        (
            "a head of a stream that nobody has opened",
            within(frame(HEADERS, END_HEADERS, 2, literals(&[OK]))),
        ),
        (
            "data beyond the largest frame",
            vec![head(&[OK]), last_data(&"x".repeat(16_385))],
        ),
        (
            "trailers beyond the largest frame",
            vec![
                head(&[OK]),
                frame(HEADERS, END_HEADERS | END_STREAM, 1, long),
            ],
        ),
        (
            "more padding than payload",
            within(frame(DATA, PADDED, 1, [9, 0])),
        ),
        (
            "data in the midst of a block",
            vec![frame(HEADERS, 0, 1, literals(&[OK])), last_data("data")],
        ),
        (
            "CONTINUATION of nothing",
            within(frame(CONTINUATION, END_HEADERS, 1, [])),
        ),
        ("WINDOW_UPDATE by nothing", within(window(1, 0))),
        (
            "a window beyond the largest",
            within(window(0, (1 << 31) - 1)),
        ),
        (
            "a farewell before the end",
            within(frame(GOAWAY, 0, 1, [0; 8])),
        ),
        // RFC 7541, behind a good status.
        ("a field of no index", block(&[0x88, 0x80])),
        ("a field beyond the tables", block(&[0x88, 0xff, 0x00])),
        ("a text that is cut off", block(&[0x88, 0x00, 0x05, b'a'])),
        (
            "Huffman's padding with zeros",
            block(&[0x88, 0x00, 0x81, 0x18, 0x01, b'a']),
        ),
        ("a table beyond its limit", block(&[0x3f, 0xe2, 0x1f, 0x88])),
        ("a change of the table behind a field", block(&[0x88, 0x20])),
    ]
}
