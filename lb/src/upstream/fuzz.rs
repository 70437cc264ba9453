//! What targets send, at random: the parsers never panic, and what they read does not depend on how it is cut.
//!
//! `make fuzz` looks for longer.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::answer::{Malformed, Taken, take_head};
use crate::framing::Body;
use crate::hop;
use crate::mutation::{Cut, any_or_mutated, cut};

/// What was read of an answer before its end, or before nothing more came.
#[derive(Debug, Default, PartialEq)]
struct Read {
    status: Option<u16>,
    /// As clients of HTTP/1.1 get them.
    headers: Vec<(Bytes, Bytes)>,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    complete: bool,
    error: Option<Malformed>,
}

fn read<'a>(parts: impl Iterator<Item = &'a [u8]>, method: &Method) -> Read {
    let mut read = Read::default();
    let mut input = BytesMut::new();
    let mut head = None;
    for part in parts {
        input.extend_from_slice(part);
        while head.is_none() {
            match take_head(&mut input, method) {
                Ok(None) => break,
                Ok(Some(Taken::Interim(_))) => {}
                Ok(Some(Taken::Final(mut taken))) => {
                    read.status = Some(taken.response.status.as_u16());
                    head = Some(std::mem::replace(&mut taken.body, Body::NONE));
                    taken.response.headers.each(|name, value| {
                        let copy = Bytes::copy_from_slice;
                        read.headers.push((copy(name), copy(value)));
                    });
                }
                Err(error) => {
                    read.error = Some(error);
                    return read;
                }
            }
        }
        let Some(body) = &mut head else { continue };
        loop {
            match body.next(&mut input) {
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(data) => read.body.extend_from_slice(&data),
                    Err(frame) => read.trailers = frame.into_trailers().ok(),
                },
                Ok(None) => break,
                Err(error) => {
                    read.error = Some(error.into());
                    return read;
                }
            }
        }
        read.complete = body.is_complete();
    }
    read
}

/// Pieces of which answers are made, right and wrong ones.
fn piece() -> impl Strategy<Value = Bytes> {
    let known = [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 404\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close, X-A\r\n",
        "X-A: b\r\n",
        "\r\n",
        "\n",
        "5\r\nhello\r\n",
        "5;a=b\r\nhello\r\n",
        "1\r\nhello\r\n",
        "0\r\n\r\n",
        "0\r\nX-Sum: 7\r\n\r\n",
        "hello",
        " ",
        ":",
    ];
    prop_oneof![
        12 => select(known.to_vec()).prop_map(|text| Bytes::from_static(text.as_bytes())),
        1 => vec(any::<u8>(), 0..20).prop_map(Bytes::from),
    ]
}

const ANSWERS: [&str; 8] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\nConnection: Keep-Alive, X-Own\r\nKeep-Alive: timeout=5\r\nX-Own: 1\r\n\r\nhello",
    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
    "HTTP/1.1 200\r\nSet-Cookie: a=b; Path=/\r\nX : \t1\t\nProxy-Connection: close\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
];

/// Returns an answer, and where it is cut.
fn answer() -> impl Strategy<Value = Cut> {
    cut(prop_oneof![
        1 => vec(piece(), 0..12).prop_map(|pieces| pieces.concat()),
        // Mostly an answer, so that bodies are reached.
        1 => vec(piece(), 0..8).prop_map(|pieces| {
            let begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            [begin, pieces.concat()].concat()
        }),
        2 => any_or_mutated(&ANSWERS),
    ])
}

proptest! {
    #[test]
    fn what_is_read_of_an_answer_does_not_depend_on_how_it_is_cut(
        answer in answer(),
        method in select(vec![Method::GET, Method::HEAD]),
    ) {
        let (whole, cut) = (read(answer.whole(), &method), read(answer.parts(), &method));
        // A body that is wrong somewhere may be known to be before or after some more of it has been passed on.
        if whole.error.is_none() {
            prop_assert_eq!(&cut, &whole);
        } else {
            prop_assert_eq!((cut.status, cut.error), (whole.status, whole.error));
        }
        prop_assert!(whole.body.len() <= answer.bytes.len(), "nothing is made up");
        prop_assert!(method != Method::HEAD || whole.body.is_empty());
        let mut lengths = 0;
        for (name, value) in &whole.headers {
            let name = HeaderName::from_bytes(name).unwrap();
            lengths += usize::from(name == CONTENT_LENGTH);
            prop_assert!(!hop::is_hop_by_hop(&name), "{} stays on its hop", name);
            HeaderValue::from_bytes(value).unwrap();
            prop_assert_eq!(value, value.trim_ascii());
        }
        prop_assert!(lengths <= 1, "a length has one reading");
        prop_assert!(whole.trailers.iter().flat_map(HeaderMap::keys).all(hop::may_trail));
    }
}
