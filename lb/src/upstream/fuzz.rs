//! What targets send, at random: the parsers never panic, and what they read does not depend on how it is cut.
//!
//! `PROPTEST_CASES=1000000 cargo nextest run -p roadstead-lb fuzz` looks for longer.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use proptest::collection::vec;
use proptest::prelude::*;

use super::answer::{Malformed, Taken, take_head};
use crate::framing::Body;

/// What was read of an answer before its end, or before nothing more came.
#[derive(Debug, Default, PartialEq)]
struct Read {
    status: Option<u16>,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    complete: bool,
    error: Option<Malformed>,
}

fn read<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Read {
    let mut read = Read::default();
    let mut input = BytesMut::new();
    let mut head = None;
    for part in parts {
        input.extend_from_slice(part);
        while head.is_none() {
            match take_head(&mut input, &Method::GET) {
                Ok(None) => break,
                Ok(Some(Taken::Interim(_))) => {}
                Ok(Some(Taken::Final(mut taken))) => {
                    read.status = Some(taken.response.status.as_u16());
                    head = Some(std::mem::replace(&mut taken.body, Body::NONE));
                    read.headers = taken.response.headers.into_map();
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
        12 => proptest::sample::select(known.to_vec()).prop_map(|text| Bytes::from_static(text.as_bytes())),
        1 => vec(any::<u8>(), 0..20).prop_map(Bytes::from),
    ]
}

/// Returns the bytes of an answer, and where they are cut.
fn answer() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    let bytes = prop_oneof![
        vec(piece(), 0..12).prop_map(|pieces| pieces.concat()),
        // Mostly an answer, so that bodies are reached.
        vec(piece(), 0..8).prop_map(|pieces| {
            let begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            [begin, pieces.concat()].concat()
        }),
    ];
    bytes.prop_flat_map(|bytes| {
        let end = bytes.len();
        (Just(bytes), vec(0..=end, 0..6))
    })
}

proptest! {
    #[test]
    fn what_is_read_of_an_answer_does_not_depend_on_how_it_is_cut((bytes, mut cuts) in answer()) {
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let parts = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        let whole = read(std::iter::once(bytes.as_slice()));
        let cut = read(parts);
        // A body that is wrong somewhere may be known to be before or after some more of it has been passed on.
        if whole.error.is_none() {
            prop_assert_eq!(&cut, &whole);
        } else {
            prop_assert_eq!((cut.status, cut.error), (whole.status, whole.error));
        }
        prop_assert!(whole.body.len() <= bytes.len(), "nothing is made up");
    }
}
