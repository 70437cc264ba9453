//! Chunked bodies at random, against a reader that takes them line by line (RFC 9112 7.1).

use bytes::BytesMut;
use http::HeaderMap;
use proptest::prelude::*;

use super::{Body, FramingError};
use crate::mutation::{any_or_mutated, cut};

const BODIES: [&str; 6] = [
    "0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "1\r\na\r\n00B\r\nhello world\r\n000\r\n\r\n",
    "4;name=value\r\nWiki\r\n5;a;b=\"c\"\r\npedia\r\n0;last\r\n\r\n",
    "2\r\nhi\r\n0\r\nX-Sum: 7\r\nHost: a\r\nContent-Length: 9\r\n\r\nrest",
    "ffffffffffffffff\r\nx",
];

/// What was read of a body.
#[derive(Debug, Default, PartialEq)]
struct Read {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    left: Vec<u8>,
    is_complete: bool,
    error: Option<FramingError>,
}

fn read<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Read {
    let (mut read, mut input) = (Read::default(), BytesMut::new());
    let mut body = Body::in_chunks(Vec::new());
    for part in parts {
        input.extend_from_slice(part);
        loop {
            match body.next(&mut input) {
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(data) => read.data.extend_from_slice(&data),
                    Err(frame) => read.trailers = frame.into_trailers().ok(),
                },
                Ok(None) => break,
                Err(error) => {
                    read.error = Some(error);
                    return read;
                }
            }
        }
    }
    read.is_complete = body.is_complete();
    read.left = input.to_vec();
    read
}

/// Takes a line, without its end.
fn line<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let (line, rest) = bytes.split_at(end);
    *bytes = &rest[2..];
    // Another reader's line may end there.
    (!line.iter().any(|byte| b"\r\n".contains(byte))).then_some(line)
}

/// Returns the data of a whole body, and what is behind it.
fn data(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut data = Vec::new();
    loop {
        let size = line(&mut bytes)?;
        let digits = size.split(|byte| *byte == b';').next()?;
        let digits = str::from_utf8(digits).ok()?.trim_end_matches([' ', '\t']);
        match usize::from_str_radix(digits, 16).ok()? {
            0 => break,
            size => {
                data.extend_from_slice(bytes.get(..size)?);
                bytes = &bytes[size..];
            }
        }
        if !line(&mut bytes)?.is_empty() {
            return None;
        }
    }
    while !line(&mut bytes)?.is_empty() {}
    Some((data, bytes))
}

proptest! {
    #[test]
    fn a_body_in_chunks_is_read_in_one_way_only(body in cut(any_or_mutated(&BODIES))) {
        let (whole, read) = (read(body.whole()), read(body.parts()));
        prop_assert_eq!(read.error, whole.error);
        // A body that is wrong somewhere may be known to be before or after some more of it has been passed on.
        if whole.error.is_none() {
            prop_assert_eq!(&read, &whole);
        }
        if whole.is_complete {
            prop_assert_eq!(data(&body.bytes), Some((whole.data, whole.left.as_slice())));
        }
        for (name, value) in whole.trailers.iter().flatten() {
            prop_assert!(crate::hop::may_trail(name), "{}", name);
            prop_assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
        }
    }
}
