//! First messages of TLS at random: what is read of them is kept for whoever they are for, and bounded.

use std::sync::Arc;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use super::*;
use crate::mutation::{any_or_mutated, cut};

const NAME: &str = "shop.example";

/// Returns the first message of a client that names so many protocols.
fn hello(
    version: &'static SupportedProtocolVersion,
    name: &'static str,
    protocols: usize,
) -> Vec<u8> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![vec![b'x'; 100]; protocols];
    let name = name.try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Returns a record of TLS.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3], &length[..], content].concat()
}

fn messages() -> Vec<Vec<u8>> {
    let usual = hello(&TLS13, NAME, 1);
    // Each record has a part of it.
    let in_pieces = usual[5..].chunks(50).map(|piece| record(0x16, piece));
    let long = record(0x16, &[&[1, 0, 0xff, 0xff][..], &[0; 16_000]].concat());
    let farewell = record(0x15, &[1, 0]);
    vec![
        usual.clone(),
        hello(&TLS12, NAME, 0),
        hello(&TLS13, NAME, 150),
        hello(&TLS13, "192.0.2.1", 1),
        in_pieces.collect::<Vec<_>>().concat(),
        [&usual[..], b"\x17\x03\x03\0\x05early"].concat(),
        [&farewell[..], &usual[..]].concat(),
        [&record(0x14, &[1]), &usual[..]].concat(),
        // One that is announced to be longer than any.
        record(0x16, &[1, 0xff, 0xff, 0xff]),
        [&long[..], &long, &long, &long].concat(),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
    ]
}

/// Returns the name with what was read, unless that failed, and what is left.
fn read(first: &[u8], second: &[u8]) -> (io::Result<(Option<String>, BytesMut)>, Vec<u8>) {
    let mut stream = first.chain(second);
    // A slice has no more to give: it ends, one way or the other.
    let read = server_name(&mut stream).now_or_never().unwrap();
    let (first, second) = stream.into_inner();
    (read, [first, second].concat())
}

#[test]
fn a_name_is_found_wherever_its_message_is_cut() {
    for message in &messages()[..3] {
        for place in 0..message.len() {
            let (first, second) = message.split_at(place);
            let (name, _read) = read(first, second).0.unwrap();
            assert_eq!(name.as_deref(), Some(NAME), "{place}");
        }
    }
}

proptest! {
    #[test]
    fn nothing_that_is_read_is_lost_and_not_all_is_read(stream in cut(any_or_mutated(&messages()))) {
        let first = stream.parts().next().unwrap_or_default();
        for (first, second) in [(first, &stream.bytes[first.len()..]), (&stream.bytes, &[])] {
            let (read, left) = read(first, second);
            let taken = stream.bytes.len() - left.len();
            prop_assert!(taken <= MOST_HELLO, "{}", taken);
            if let Ok((name, read)) = read {
                prop_assert_eq!(&read[..], &stream.bytes[..taken]);
                prop_assert!(name.is_none_or(|name| name.is_ascii()));
            }
        }
    }
}
