use expect_test::{Expect, expect};
use http::Response;
use hyper::ext::ReasonPhrase;

use super::*;

const GET: Asked = Asked::UNKNOWN;
const HEAD: Asked = Asked {
    is_head: true,
    is_1_0: false,
};
const OLD: Asked = Asked {
    is_head: false,
    is_1_0: true,
};

fn parts(status: u16, headers: &[(&str, &str)]) -> ResponseHead {
    let dated = [("date", "Thu, 26 Nov 2026 05:00:00 GMT")];
    let headers = dated.iter().chain(headers);
    let builder = headers.fold(Response::builder().status(status), |builder, header| {
        builder.header(header.0, header.1)
    });
    builder.body(()).unwrap().into_parts().0.into()
}

fn check(asked: Asked, head: &ResponseHead, exact: Option<u64>, is_last: bool, expected: &Expect) {
    let mut bytes = Vec::new();
    let framing = asked.framing(head, exact);
    asked.encode(head, framing, is_last, &mut bytes);
    let text = String::from_utf8(bytes).unwrap().replace("\r\n", "\n");
    expected.assert_eq(&format!("{text}{framing:?}"));
}

#[test]
fn a_length_that_is_known_is_said() {
    let own = parts(404, &[("x-a", "1")]);
    check(
        GET,
        &own,
        Some(12),
        false,
        &expect![[r#"
        HTTP/1.1 404 Not Found
        date: Thu, 26 Nov 2026 05:00:00 GMT
        x-a: 1
        content-length: 12

        Exact(12)"#]],
    );
    let relayed = parts(200, &[("content-length", "12")]);
    check(
        GET,
        &relayed,
        Some(12),
        true,
        &expect![[r#"
        HTTP/1.1 200 OK
        date: Thu, 26 Nov 2026 05:00:00 GMT
        content-length: 12
        connection: close

        Length"#]],
    );
}

#[test]
fn a_body_of_unknown_length_comes_in_chunks_or_to_an_older_client_until_the_end() {
    let head = parts(200, &[]);
    check(
        GET,
        &head,
        None,
        false,
        &expect![[r#"
        HTTP/1.1 200 OK
        date: Thu, 26 Nov 2026 05:00:00 GMT
        transfer-encoding: chunked

        Chunked"#]],
    );
    check(
        OLD,
        &head,
        None,
        true,
        &expect![[r#"
        HTTP/1.1 200 OK
        date: Thu, 26 Nov 2026 05:00:00 GMT
        connection: close

        UntilClose"#]],
    );
}

#[test]
fn what_has_no_body_says_what_it_would_be() {
    let head = parts(200, &[("content-length", "12")]);
    check(
        HEAD,
        &head,
        Some(0),
        false,
        &expect![[r#"
        HTTP/1.1 200 OK
        date: Thu, 26 Nov 2026 05:00:00 GMT
        content-length: 12

        NoBody"#]],
    );
    check(
        GET,
        &parts(304, &[("content-length", "12")]),
        Some(0),
        false,
        &expect![[r#"
            HTTP/1.1 304 Not Modified
            date: Thu, 26 Nov 2026 05:00:00 GMT
            content-length: 12

            NoBody"#]],
    );
    check(
        GET,
        &parts(204, &[("content-length", "12")]),
        Some(0),
        false,
        &expect![[r#"
            HTTP/1.1 204 No Content
            date: Thu, 26 Nov 2026 05:00:00 GMT

            NoBody"#]],
    );
}

#[test]
fn an_older_client_is_told_that_the_connection_stays() {
    check(
        OLD,
        &parts(200, &[]),
        Some(0),
        false,
        &expect![[r#"
        HTTP/1.1 200 OK
        date: Thu, 26 Nov 2026 05:00:00 GMT
        content-length: 0
        connection: keep-alive

        Exact(0)"#]],
    );
}

#[test]
fn a_switch_says_nothing_of_the_connection_but_what_it_becomes() {
    let head = parts(101, &[("connection", "upgrade"), ("upgrade", "websocket")]);
    check(
        GET,
        &head,
        Some(0),
        true,
        &expect![[r#"
        HTTP/1.1 101 Switching Protocols
        date: Thu, 26 Nov 2026 05:00:00 GMT
        connection: upgrade
        upgrade: websocket

        NoBody"#]],
    );
}

#[test]
fn what_has_no_date_gets_one() {
    let head = http::Response::new(()).into_parts().0.into();
    let mut bytes = Vec::new();
    GET.encode(&head, Framing::Exact(0), false, &mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let date = text
        .lines()
        .find_map(|line| line.strip_prefix("date: "))
        .unwrap();
    httpdate::parse_http_date(date).unwrap();
}

#[test]
fn a_reason_of_the_targets_own_is_kept() {
    let mut head = parts(200, &[]);
    head.reason = Some(ReasonPhrase::from_static(b"Fine"));
    let mut bytes = Vec::new();
    GET.encode(&head, Framing::Exact(0), false, &mut bytes);
    assert!(bytes.starts_with(b"HTTP/1.1 200 Fine\r\n"));
}
