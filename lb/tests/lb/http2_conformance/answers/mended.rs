//! Answers that h2 does not refuse, and we neither.

use super::super::setting;
use super::{OK, head, last_data, last_head};
use crate::harness::frames::{DATA, Frame, RST_STREAM, frame};

/// Answers that are wrong and taken all the same: what is good in them, and what nobody gets.
pub(super) fn mended() -> Vec<(&'static str, Vec<Frame>, &'static str, &'static str)> {
    let answer = |fields: &[(&str, &str)]| vec![head(fields), last_data("data")];
    let with = |name, value| answer(&[OK, (name, value)]);
    let with_trailers = |first, second| {
        vec![
            head(&[OK]),
            frame(DATA, 0, 1, *b"data"),
            last_head(&[first, second]),
        ]
    };
    let behind = |wrong: Frame| vec![head(&[OK]), last_data("data"), wrong];
    let sound = ("x-sum", "7");
    vec![
        // 8.3: h2 drops pseudo-headers of requests, and those of trailers if they come first.
        ("a path", with(":path", "/wrong"), "data", "wrong"),
        ("a method", with(":method", "WRONG"), "data", "WRONG"),
        ("a scheme", with(":scheme", "wrong"), "data", "wrong"),
        ("an authority", with(":authority", "wrong"), "data", "wrong"),
        (
            "a status in trailers",
            with_trailers((":status", "418"), sound),
            "data",
            "418",
        ),
        (
            "a path in trailers",
            with_trailers((":path", "/wrong"), sound),
            "data",
            "wrong",
        ),
        // 8.2.2: requests may have it.
        (
            "TE for trailers",
            with("te", "trailers"),
            "data",
            "trailers",
        ),
        (
            "TE in trailers",
            with_trailers(("te", "trailers"), sound),
            "data",
            "trailers",
        ),
        // 8.2.1.
        (
            "white space before a value",
            with("x", " \t1"),
            "x: 1\r\n",
            "x:  ",
        ),
        (
            "white space behind a value",
            with("x", "1\t "),
            "x: 1\r\n",
            "1\t",
        ),
        (
            "a value that is white space",
            with("x", "  "),
            "x: \r\n",
            "x:  ",
        ),
        (
            "white space in trailers",
            with_trailers(("x", " 1\t"), sound),
            "x: 1\r\n",
            "x:  ",
        ),
        // RFC 9110 6.5.1: too late.
        (
            "a length in trailers",
            with_trailers(("content-length", "9"), sound),
            "data",
            "content-length",
        ),
        (
            "a host in trailers",
            with_trailers(("host", "wrong"), sound),
            "data",
            "wrong",
        ),
        // RFC 9110 6.4.1 and 8.6: no content, and no length of what is never there.
        (
            "data of 204",
            answer(&[(":status", "204")]),
            "HTTP/1.1 204",
            "data",
        ),
        (
            "data of 304",
            answer(&[(":status", "304")]),
            "HTTP/1.1 304",
            "data",
        ),
        (
            "data of 304 with its length",
            answer(&[(":status", "304"), ("content-length", "4")]),
            "content-length: 4",
            "data",
        ),
        (
            "no data of 304 with a length",
            vec![
                head(&[(":status", "304"), ("content-length", "4")]),
                last_data(""),
            ],
            "content-length: 4",
            "data",
        ),
        (
            "a length of 204",
            vec![last_head(&[(":status", "204"), ("content-length", "4")])],
            "HTTP/1.1 204",
            "content-length",
        ),
        // 8.6: there is no such thing, and what comes behind it is the answer.
        (
            "a switch before the answer",
            vec![
                head(&[(":status", "101"), ("x", "wrong")]),
                head(&[OK]),
                last_data("data"),
            ],
            "data",
            "wrong",
        ),
        // 5.1: the answer was whole before.
        (
            "a head behind the end",
            behind(last_head(&[OK, ("x", "wrong")])),
            "data",
            "wrong",
        ),
        (
            "trailers behind the end",
            behind(last_head(&[("x", "wrong")])),
            "data",
            "wrong",
        ),
        (
            "data behind the end",
            behind(last_data("wrong")),
            "data",
            "wrong",
        ),
    ]
}

/// Answers with which something comes that a target must not send, and that changes nothing.
pub(super) fn odd() -> Vec<(&'static str, Vec<Frame>)> {
    let answer = [head(&[OK]), last_data("data")];
    vec![
        // 6.5.2: we have not allowed it to push.
        (
            "a push that is allowed",
            [&[setting(2, 1)], &answer[..]].concat(),
        ),
        // 5.1: the answer was whole before.
        (
            "a reset behind the end",
            [&answer[..], &[frame(RST_STREAM, 0, 1, [0, 0, 0, 2])]].concat(),
        ),
    ]
}
