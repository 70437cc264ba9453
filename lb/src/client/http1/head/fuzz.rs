//! Heads of requests at random: they are read in one way only, wherever they are cut.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::mutation::{Cut, any_or_mutated, cut};

const MOST: usize = 64 * 1024;

/// Most are sound.
const REQUESTS: [&str; 12] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\n\r\nGET /a/b?c=d&e HTTP/1.1\r\nHost: shop.example:8080\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\nGET / HTTP/1.1\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "PUT http://a:80/b?c HTTP/1.1\r\nHost: a:80\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, X-Own\r\nUpgrade: websocket\r\nX-Own: 1\r\n\r\n",
    "HEAD /%20a;b=c HTTP/1.0\r\nConnection: keep-alive\r\nX-A:\r\nX-B: \t b \t\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

/// Reads a head; returns it and what is left of the input.
fn read<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Result<Option<(Head, Vec<u8>)>, Refused> {
    let (mut input, mut looked_at, mut head) = (BytesMut::new(), 0, None);
    for part in parts {
        input.extend_from_slice(part);
        if head.is_none() {
            head = take(&mut input, &mut looked_at, MOST)?;
        }
    }
    Ok(head.map(|head| (head, input.to_vec())))
}

fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    let windows = bytes.windows(wanted.len());
    windows.filter(|window| *window == wanted).count()
}

/// Whoever reads a head by its lines finds no other end, length or coding than we do.
fn assert_is_read_in_one_way(request: &Cut) -> Result<(), TestCaseError> {
    let whole = read(request.whole());
    prop_assert_eq!(
        format!("{:?}", read(request.parts())),
        format!("{:?}", whole)
    );
    let Ok(Some((head, left))) = whole else {
        return Ok(());
    };
    prop_assert!(request.bytes.ends_with(&left), "what is left is the end");
    let mut taken = &request.bytes[..request.bytes.len() - left.len()];
    while let [b'\r', b'\n', rest @ ..] = taken {
        taken = rest;
    }
    prop_assert!(taken.ends_with(b"\r\n\r\n"));
    prop_assert_eq!(count(taken, b"\r\n\r\n"), 1);
    for byte in [b"\r", b"\n"] {
        prop_assert_eq!(
            count(taken, byte),
            count(taken, b"\r\n"),
            "no line ends otherwise"
        );
    }
    prop_assert_eq!(count(taken, b"\0"), 0);
    let text = String::from_utf8_lossy(taken);
    let mut lines = text.split("\r\n");
    let first: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
    prop_assert_eq!((first.len(), first[0]), (3, head.parts.method.as_str()));
    let fields: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    prop_assert_eq!(fields.len(), head.parts.headers.len());
    let named = |name: &str| {
        let names = fields
            .iter()
            .map(|line| line.split(':').next().unwrap_or_default());
        names
            .filter(|other| other.eq_ignore_ascii_case(name))
            .count()
    };
    let (codings, lengths) = (named("transfer-encoding"), named("content-length"));
    match head.body.length() {
        None => prop_assert_eq!((codings, lengths), (1, 0)),
        Some(0) => prop_assert!(codings == 0 && lengths <= 1),
        Some(_) => prop_assert_eq!((codings, lengths), (0, 1)),
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_request_is_read_in_one_way_only(request in cut(any_or_mutated(&REQUESTS))) {
        assert_is_read_in_one_way(&request)?;
    }

    #[test]
    fn lines_are_read_in_one_way_only(
        request in cut(vec("(GET / HTTP/1.1|content-length: 1|Transfer-Encoding: chunked|x: y|\\PC{0,5})?(\r\n|\n|\r|)", 0..6).prop_map(|lines| lines.concat().into()))
    ) {
        assert_is_read_in_one_way(&request)?;
    }

    #[test]
    fn fields_are_read_in_one_way_only(
        request in cut(vec("(content-length:|content-length|Transfer-Encoding|x|\\s)?[:; ]?(1|2|chunked|,|\\PC{0,3})(\r\n|\n|\r|\r\n )?", 0..5).prop_map(|fields| {
            format!("POST / HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n", fields.concat()).into()
        }))
    ) {
        assert_is_read_in_one_way(&request)?;
    }
}
