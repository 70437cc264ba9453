//! Headers at random: they are read to their end and no further, however they are cut.

use std::net::IpAddr;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::mutation::{any_or_mutated, cut};

const V1: [&str; 4] = [
    "PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\nGET / HTTP/1.1\r\n",
    "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.2 50000 443\r\n\0\0",
    "PROXY UNKNOWN\r\nGET",
    "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
];

/// Headers of version 2 with each command and each family, some with more than addresses, and one that is too large.
fn headers() -> Vec<Vec<u8>> {
    let v2 = |command: u8, family: u8, payload: &[u8], length: usize| {
        let length = u16::try_from(length).unwrap().to_be_bytes();
        [
            &SIGNATURE[..],
            &[command, family],
            &length[..],
            payload,
            b"GET / ",
        ]
        .concat()
    };
    let mut headers: Vec<_> = V1.iter().map(|text| text.as_bytes().to_vec()).collect();
    for (family, length) in [(0x11, 12), (0x21, 36), (0x12, 12), (0x31, 216), (0x00, 0)] {
        let payload = vec![7; length];
        let further = [&payload[..], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
        headers.push(v2(0x21, family, &payload, length));
        headers.push(v2(0x21, family, &further, further.len()));
        headers.push(v2(0x20, family, &payload, length));
    }
    headers.push(v2(0x21, 0x11, &[7; MOST_PAYLOAD + 100], MOST_PAYLOAD));
    headers.push(v2(0x21, 0x11, &[7; MOST_PAYLOAD + 100], MOST_PAYLOAD + 1));
    headers
}

/// Returns whose connection it is, and how much was read.
fn read_all(first: &[u8], second: &[u8]) -> (Result<Option<SocketAddr>, io::ErrorKind>, usize) {
    let mut stream = first.chain(second);
    // A slice has no more to give: it ends, one way or the other.
    let read = read(&mut stream).now_or_never().unwrap();
    let (first_left, second_left) = stream.into_inner();
    let left = first_left.len() + second_left.len();
    let read = read.map_err(|error| error.kind());
    (read, first.len() + second.len() - left)
}

proptest! {
    #[test]
    fn a_header_is_read_to_its_end_and_no_further(stream in cut(any_or_mutated(&headers()))) {
        let bytes = &stream.bytes;
        let whole = read_all(bytes, &[]);
        let first = stream.parts().next().unwrap_or_default();
        prop_assert_eq!(&read_all(first, &bytes[first.len()..]), &whole);
        let (read, taken) = whole;
        let most = match bytes.strip_prefix(SIGNATURE) {
            None => MOST_TEXT,
            Some(_) => SIGNATURE.len() + 4 + MOST_PAYLOAD,
        };
        prop_assert!(taken <= most, "{} of {}", taken, most);
        if read.is_err() {
            return Ok(());
        }
        let end = match bytes.strip_prefix(SIGNATURE) {
            None => 1 + bytes.iter().position(|byte| *byte == b'\n').unwrap(),
            Some(rest) => SIGNATURE.len() + 4 + usize::from(u16::from_be_bytes([rest[2], rest[3]])),
        };
        prop_assert_eq!(taken, end);
    }

    #[test]
    fn a_header_that_is_written_is_read(
        protocol in select(vec![ProxyProtocol::V1, ProxyProtocol::V2]),
        source: (IpAddr, u16),
        destination: (IpAddr, u16),
    ) {
        let (source, destination) = (SocketAddr::from(source), SocketAddr::from(destination));
        let header = protocol.header(source, destination);
        let (read, taken) = read_all(&header, b"GET");
        prop_assert_eq!(taken, header.len());
        // Of two families nobody can tell.
        let told = (source.is_ipv4() == destination.is_ipv4()).then_some(source);
        prop_assert_eq!(read, Ok(told));
    }
}
