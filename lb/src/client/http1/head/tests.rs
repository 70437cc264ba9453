use super::*;

const MOST: usize = 64 * 1024;

/// Reads a head that comes in two parts, wherever it is cut; returns it, and what is left of the input.
fn read(text: &str) -> Result<Option<(Head, String)>, Refused> {
    let mut results = (0..=text.len()).map(|cut| {
        let (first, second) = text.as_bytes().split_at(cut);
        let (mut input, mut looked_at) = (BytesMut::from(first), 0);
        let mut taken = take(&mut input, &mut looked_at, MOST);
        input.extend_from_slice(second);
        if matches!(taken, Ok(None)) {
            taken = take(&mut input, &mut looked_at, MOST);
        }
        taken.map(|head| head.map(|head| (head, String::from_utf8(input.to_vec()).unwrap())))
    });
    let first = results.next().unwrap();
    let shown = format!("{first:?}");
    for other in results {
        assert_eq!(format!("{other:?}"), shown);
    }
    first
}

fn head(text: &str) -> Head {
    read(text).unwrap().unwrap().0
}

fn refused(text: &str) -> Refused {
    read(text)
        .err()
        .unwrap_or_else(|| panic!("{text:?} is refused"))
}

#[test]
fn a_head_is_taken_when_it_is_whole_and_what_follows_is_left() {
    let text = "POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    for cut in 0..text.len() {
        assert!(matches!(read(&text[..cut]), Ok(None)), "{cut}");
    }
    let (head, left) = read(&format!("{text}hello")).unwrap().unwrap();
    assert_eq!(left, "hello");
    assert_eq!(
        (head.parts.method, head.parts.version),
        (Method::POST, Version::HTTP_11)
    );
    assert_eq!(head.parts.uri, "/a?b=c");
    assert_eq!(head.parts.headers["host"], "a");
    assert_eq!(head.body.length(), Some(5));
    assert!(head.keep_alive && !head.expects_continue);
}

#[test]
fn empty_lines_before_a_request_are_passed_over() {
    assert_eq!(head("\r\n\r\nGET / HTTP/1.1\r\n\r\n").parts.uri, "/");
    assert!(matches!(read("\r\n\r\n"), Ok(None)));
}

#[test]
fn a_line_that_ends_in_lf_alone_is_refused_at_once() {
    for text in [
        "GET / HTTP/1.1\n",
        "\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n\n",
        "GET / HTTP/1.1\r\nA: b\n\n",
    ] {
        assert_eq!(refused(text), Refused::Malformed);
    }
}

#[test]
fn what_is_not_http_is_refused_before_its_first_line_ends() {
    for text in ["\x16\x03\x01", " GET", "\0", "\r\r\x16"] {
        assert_eq!(refused(text), Refused::Malformed, "{text:?}");
    }
}

#[test]
fn a_body_has_one_end() {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let length = |fields: &str| head(&with(fields)).body.length();
    assert_eq!(length(""), Some(0));
    assert_eq!(length("content-length:16 \r\n"), Some(16));
    assert_eq!(length("Transfer-Encoding: Chunked\r\n"), None);
    for codings in [
        "gzip, chunked",
        "chunked, chunked",
        "gzip\r\nTransfer-Encoding: chunked",
    ] {
        let text = with(&format!("Transfer-Encoding: {codings}\r\n"));
        assert_eq!(refused(&text), Refused::Coding, "{codings:?}");
    }
    for fields in [
        "Content-Length: 7\r\nContent-Length: 8\r\n",
        "Content-Length: 7\r\nContent-Length: 7\r\n",
        "Content-Length: 7, 7\r\n",
        "Content-Length: +7\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x7\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 4\r\nTRANSFER-encoding: chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "a b: c\r\n",
        "a: b\0\r\n",
        "a: b\rc: d\r\n",
    ] {
        assert_eq!(refused(&with(fields)), Refused::Malformed, "{fields:?}");
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(old), Refused::Malformed);
}

#[test]
fn a_request_line_has_three_parts_and_its_target_the_form_of_its_method() {
    for line in [
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/2.0",
        "GET / HTTP/1.2",
        "GET /",
        "G@T / HTTP/1.1",
        "GET / a HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "CONNECT /a HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        let text = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(refused(&text), Refused::Malformed, "{line}");
    }
    for line in [
        "GET http://a:80/b HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "PURGE /a HTTP/1.0",
    ] {
        head(&format!("{line}\r\nHost: a\r\n\r\n"));
    }
}

#[test]
fn a_head_is_bounded() {
    let long = format!("GET / HTTP/1.1\r\na: {}", "x".repeat(MOST));
    for text in [&long, &format!("{long}\r\n\r\n")] {
        let taken = take(&mut BytesMut::from(text.as_str()), &mut 0, MOST);
        assert!(matches!(taken, Err(Refused::TooLong)));
    }
    let many = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(head(&many(MOST_HEADERS)).parts.headers.len(), MOST_HEADERS);
    assert_eq!(refused(&many(MOST_HEADERS + 1)), Refused::TooLong);
}

#[test]
fn a_connection_is_kept_as_its_version_has_it() {
    let keep_alive = |version: &str, options: &str| {
        head(&format!(
            "GET / HTTP/{version}\r\nConnection: {options}\r\n\r\n"
        ))
        .keep_alive
    };
    assert!(keep_alive("1.1", "x"));
    assert!(!keep_alive("1.1", "x, Close"));
    assert!(!keep_alive("1.0", "x"));
    assert!(keep_alive("1.0", "Keep-Alive"));
    assert!(!keep_alive("1.1", "keep-alive, close"));
}

#[test]
fn only_since_http_1_1_there_is_an_expectation() {
    let expects = |version: &str| {
        head(&format!(
            "PUT / HTTP/{version}\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n"
        ))
        .expects_continue
    };
    assert!(expects("1.1") && !expects("1.0"));
}
