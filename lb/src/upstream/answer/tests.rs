use http::header::LINK;
use http::{HeaderMap, HeaderValue};

use super::*;

fn take_from(text: &str, method: &Method) -> Result<Option<Head>, Malformed> {
    take_head(&mut BytesMut::from(text), method).map(final_of)
}

/// Returns the head of an answer that is not interim.
fn final_of(taken: Option<Taken>) -> Option<Head> {
    taken.map(|taken| match taken {
        Taken::Final(head) => head,
        Taken::Interim(head) => panic!("{head:?} is interim"),
    })
}

fn head(text: &str) -> Head {
    take_from(text, &Method::GET).unwrap().unwrap()
}

fn headers(head: Head) -> HeaderMap {
    head.response.headers.into_map()
}

fn refused(text: &str) -> Malformed {
    take_from(text, &Method::GET)
        .err()
        .expect("the answer is refused")
}

#[test]
fn a_head_is_taken_when_it_is_whole_and_the_body_is_left() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\n";
    for cut in 0..text.len() {
        let outcome = take_from(&text[..cut], &Method::GET);
        assert!(matches!(outcome, Ok(None)), "{cut}");
    }
    let mut input = BytesMut::from(format!("{text}hello").as_str());
    let taken = take_head(&mut input, &Method::GET).unwrap();
    let mut head = final_of(taken).unwrap();
    assert_eq!(head.response.status, StatusCode::OK);
    assert!(head.keep_alive);
    assert!(head.response.reason.is_none());
    let data = head.body.next(&mut input).unwrap().unwrap();
    assert_eq!(data.into_data().unwrap(), "hello");
    assert!(head.body.is_complete());
    let headers = headers(head);
    assert_eq!(headers["x-a"], "1");
    assert_eq!(headers["content-length"], "5");
}

#[test]
fn white_space_before_a_colon_is_left_out() {
    let head = head("HTTP/1.1 200 OK\r\nContent-Length : 7\r\nX\t : 1\r\n\r\n");
    assert!(matches!(head.body, Body::Length(7)));
    let headers = headers(head);
    assert_eq!(
        (&headers["content-length"], &headers["x"]),
        (&"7".parse().unwrap(), &"1".parse().unwrap())
    );
}

#[test]
fn interim_answers_come_before_and_whether_to_go_on_is_none_of_them() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\ncontent-length: 1\r\n\r\n\
                HTTP/1.1 204 No Content\r\n\r\n";
    let mut input = BytesMut::from(text);
    let Ok(Some(Taken::Interim(hints))) = take_head(&mut input, &Method::GET) else {
        panic!("hints are first");
    };
    assert_eq!(hints.status, StatusCode::EARLY_HINTS);
    let link = HeaderMap::from_iter([(LINK, HeaderValue::from_static("a"))]);
    assert_eq!(hints.headers.into_map(), link);
    let taken = take_head(&mut input, &Method::GET).unwrap();
    let head = final_of(taken).unwrap();
    assert_eq!(head.response.status, StatusCode::NO_CONTENT);
    assert!(headers(head).is_empty());
}

#[test]
fn what_concerns_the_hop_to_the_target_is_not_passed_on() {
    let head = head(
        "HTTP/1.1 200 OK\r\nConnection: X-Private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
         Upgrade: h2c\r\nTransfer-Encoding: chunked\r\nX-Public: 2\r\n\r\n",
    );
    let headers = headers(head);
    let names: Vec<_> = headers.keys().collect();
    assert_eq!(names, ["x-public"]);
}

#[test]
fn the_connection_is_kept_when_both_versions_would_keep_it() {
    let kept = |version: &str, connection: &str| {
        head(&format!("HTTP/{version} 204 x\r\n{connection}\r\n")).keep_alive
    };
    assert!(kept("1.1", ""));
    assert!(kept("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!kept("1.1", "Connection: foo, Close\r\n"));
    assert!(!kept("1.0", ""));
}

#[test]
fn the_end_of_the_body_is_known_as_the_rfc_says() {
    let body = |fields: &str| head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).body;
    assert!(matches!(body("Content-Length: 7\r\n"), Body::Length(7)));
    assert!(matches!(
        body("Content-Length: 7, 7\r\ncontent-length: 7\r\n"),
        Body::Length(7)
    ));
    assert!(matches!(
        body("Transfer-Encoding: Chunked\r\n"),
        Body::Chunked(_)
    ));
    assert!(matches!(body(""), Body::UntilClose));
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
    let answer_to_head = take_from(text, &Method::HEAD).unwrap().unwrap();
    assert!(answer_to_head.body.is_complete());
    assert_eq!(headers(answer_to_head)["content-length"], "7");
    assert!(
        head(&text.replace("200 OK", "304 Not Modified"))
            .body
            .is_complete()
    );
}

#[test]
fn a_length_beside_chunks_does_not_count_and_ends_the_connection() {
    let head = head("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(matches!(head.body, Body::Chunked(_)));
    assert!(!head.keep_alive && headers(head).is_empty());
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let with = |fields: &str| refused(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    assert_eq!(
        with("Content-Length: 7\r\nContent-Length: 8\r\n"),
        Malformed::Framing(FramingError::Length)
    );
    assert_eq!(
        with("Content-Length: 7, 8\r\n"),
        Malformed::Framing(FramingError::Length)
    );
    for length in ["+7", "-1", "", "0x7", "99999999999999999999"] {
        let field = format!("Content-Length: {length}\r\n");
        assert_eq!(
            with(&field),
            Malformed::Framing(FramingError::Length),
            "{length}"
        );
    }
    for coding in [
        "gzip, chunked",
        "identity",
        "chunked\r\nTransfer-Encoding: chunked",
    ] {
        let field = format!("Transfer-Encoding: {coding}\r\n");
        assert_eq!(with(&field), Malformed::Coding, "{coding}");
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(old), Malformed::Coding);
    assert_eq!(with("a b: c\r\n"), Malformed::Head);
    assert_eq!(with("a: b\r\n c: d\r\n"), Malformed::Head);
    assert_eq!(refused("SSH-2.0-OpenSSH\r\n\r\n"), Malformed::Head);
    assert_eq!(refused("\r\n\r\n"), Malformed::Head);
    assert_eq!(refused("\r\nHTTP/1.1 200 OK\r\n\r\n"), Malformed::Head);
    assert_eq!(refused("220 mail.example ESMTP"), Malformed::Head);
}

#[test]
fn a_head_is_bounded() {
    let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(MOST_HEAD_BYTES));
    assert_eq!(refused(&long), Malformed::HeadTooLong);
    assert_eq!(refused(&format!("{long}\r\n\r\n")), Malformed::HeadTooLong);
    let many = "a: b\r\n".repeat(MOST_HEADERS + 1);
    assert_eq!(
        refused(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")),
        Malformed::Head
    );
}

#[test]
fn a_reason_of_the_targets_own_is_passed_on() {
    let reason = |line: &str| {
        let head = head(&format!("HTTP/1.1 {line}\r\n\r\n"));
        head.response
            .reason
            .map(|reason| String::from_utf8(reason.as_bytes().to_vec()).unwrap())
    };
    assert_eq!(reason("204 Nothing Here").as_deref(), Some("Nothing Here"));
    assert_eq!(reason("204 No Content"), None);
}
