//! Writes the head of a request as its target gets it (RFC 9112 3).

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, request};

use crate::framing::line;
use crate::hop;
use crate::tls::ClientCertificate;

pub(crate) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Where most heads end.
const USUAL_LENGTH: usize = 512;

/// How the end of a request's body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    NoBody,
    /// By its `Content-Length` header.
    Length,
    Chunked,
}

/// Who sent a request, for the headers that say so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forwarded<'a> {
    pub(crate) address: &'a HeaderValue,
    pub(crate) port: &'a HeaderValue,
    pub(crate) scheme: &'static str,
    /// Of the client, if its listener asks for one.
    pub(crate) certificate: Option<&'a ClientCertificate>,
}

/// Writes the head of a request for the next hop: in origin form, without what concerned the client's
/// connection, and with what the target is told about the client. `upgrade` is asked for on this hop again.
pub(super) fn encode(
    head: &request::Parts,
    forwarded: Forwarded<'_>,
    framing: Framing,
    upgrade: Option<&HeaderValue>,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_LENGTH);
    bytes.extend_from_slice(head.method.as_str().as_bytes());
    bytes.push(b' ');
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    if !target.starts_with(['/', '*']) {
        // A query right after the host, in absolute form.
        bytes.push(b'/');
    }
    bytes.extend_from_slice(target.as_bytes());
    bytes.extend_from_slice(b" HTTP/1.1\r\n");

    let mut has_proxies = false;
    for (name, value) in hop::going_on(&head.headers) {
        has_proxies |= *name == X_FORWARDED_FOR;
        let stays = (framing == Framing::Chunked && *name == CONTENT_LENGTH) || is_ours(name);
        if !stays {
            line(&mut bytes, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    line(
        &mut bytes,
        X_FORWARDED_PROTO.as_str().as_bytes(),
        forwarded.scheme.as_bytes(),
    );
    line(
        &mut bytes,
        X_FORWARDED_PORT.as_str().as_bytes(),
        forwarded.port.as_bytes(),
    );
    for (name, value) in forwarded
        .certificate
        .map_or(&[][..], ClientCertificate::headers)
    {
        line(&mut bytes, name.as_str().as_bytes(), value.as_bytes());
    }
    bytes.extend_from_slice(X_FORWARDED_FOR.as_str().as_bytes());
    bytes.extend_from_slice(b": ");
    if has_proxies {
        for value in head.headers.get_all(&X_FORWARDED_FOR) {
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b", ");
        }
    }
    bytes.extend_from_slice(forwarded.address.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    if let Some(protocols) = upgrade {
        line(
            &mut bytes,
            CONNECTION.as_str().as_bytes(),
            UPGRADE.as_str().as_bytes(),
        );
        line(
            &mut bytes,
            UPGRADE.as_str().as_bytes(),
            protocols.as_bytes(),
        );
    }
    match framing {
        Framing::Chunked => line(&mut bytes, b"transfer-encoding", b"chunked"),
        Framing::NoBody if lacks_a_length(&head.method, &head.headers) => {
            line(&mut bytes, b"content-length", b"0");
        }
        Framing::NoBody | Framing::Length => {}
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Tells the target about the client, in headers that are no text yet.
pub(super) fn add_forwarded(headers: &mut HeaderMap, forwarded: Forwarded<'_>) {
    let scheme = HeaderValue::from_static(forwarded.scheme);
    headers.insert(&X_FORWARDED_PROTO, scheme);
    headers.insert(&X_FORWARDED_PORT, forwarded.port.clone());
    headers.append(&X_FORWARDED_FOR, forwarded.address.clone());
    for (name, value) in forwarded
        .certificate
        .map_or(&[][..], ClientCertificate::headers)
    {
        headers.insert(name, value.clone());
    }
}

fn is_ours(name: &HeaderName) -> bool {
    *name == X_FORWARDED_FOR || *name == X_FORWARDED_PROTO || *name == X_FORWARDED_PORT
}

/// An empty body is said to be one where there could be another (RFC 9110 8.6).
fn lacks_a_length(method: &Method, headers: &HeaderMap) -> bool {
    let may_have_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    may_have_body && !headers.contains_key(CONTENT_LENGTH)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use http::Request;

    use super::*;

    fn check(request: http::request::Builder, framing: Framing, expected: &Expect) {
        let (head, ()) = request.body(()).unwrap().into_parts();
        let forwarded = Forwarded {
            address: &HeaderValue::from_static("10.0.0.9"),
            port: &HeaderValue::from_static("80"),
            scheme: "http",
            certificate: None,
        };
        let text = String::from_utf8(encode(&head, forwarded, framing, None)).unwrap();
        expected.assert_eq(&text.replace("\r\n", "\n"));
    }

    #[test]
    fn what_concerns_one_hop_stays_on_it_with_all_that_connection_names() {
        let request = Request::builder()
            .uri("/a?b=c")
            .header("host", "example.org")
            .header("connection", "close, X-Private")
            .header("x-private", "1")
            .header("keep-alive", "timeout=5")
            .header("te", "trailers")
            .header("upgrade", "h2c")
            .header("expect", "100-continue")
            .header("x-public", "2");
        check(
            request,
            Framing::NoBody,
            &expect![[r"
                GET /a?b=c HTTP/1.1
                host: example.org
                x-public: 2
                x-forwarded-proto: http
                x-forwarded-port: 80
                x-forwarded-for: 10.0.0.9

            "]],
        );
    }

    #[test]
    fn the_client_is_appended_to_earlier_proxies_and_cannot_say_what_is_ours() {
        let request = Request::builder()
            .uri("http://example.org")
            .header("x-forwarded-for", "1.1.1.1")
            .header("x-forwarded-for", "2.2.2.2")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-port", "443");
        check(
            request,
            Framing::NoBody,
            &expect![[r"
                GET / HTTP/1.1
                x-forwarded-proto: http
                x-forwarded-port: 80
                x-forwarded-for: 1.1.1.1, 2.2.2.2, 10.0.0.9

            "]],
        );
    }

    #[test]
    fn an_upgrade_is_asked_for_on_this_hop() {
        let request = Request::get("/chat")
            .header("connection", "upgrade, x-private")
            .header("upgrade", "websocket")
            .header("x-private", "1")
            .header("sec-websocket-key", "k");
        let (head, ()) = request.body(()).unwrap().into_parts();
        let forwarded = Forwarded {
            address: &HeaderValue::from_static("10.0.0.9"),
            port: &HeaderValue::from_static("443"),
            scheme: "https",
            certificate: None,
        };
        let upgrade = &head.headers[UPGRADE];
        let bytes = encode(&head, forwarded, Framing::NoBody, Some(upgrade));
        let expected = expect![[r"
            GET /chat HTTP/1.1
            sec-websocket-key: k
            x-forwarded-proto: https
            x-forwarded-port: 443
            x-forwarded-for: 10.0.0.9
            connection: upgrade
            upgrade: websocket

        "]];
        expected.assert_eq(&String::from_utf8(bytes).unwrap().replace("\r\n", "\n"));
    }

    #[test]
    fn the_target_is_in_origin_form() {
        let line = |uri: &str| {
            let request = Request::options(uri).body(()).unwrap();
            let forwarded = Forwarded {
                address: &HeaderValue::from_static("10.0.0.9"),
                port: &HeaderValue::from_static("80"),
                scheme: "http",
                certificate: None,
            };
            let bytes = encode(&request.into_parts().0, forwarded, Framing::NoBody, None);
            let text = String::from_utf8(bytes).unwrap();
            text.split("\r\n").next().unwrap().to_owned()
        };
        assert_eq!(line("*"), "OPTIONS * HTTP/1.1");
        assert_eq!(line("http://a?b=c"), "OPTIONS /?b=c HTTP/1.1");
        assert_eq!(line("http://a/b?c"), "OPTIONS /b?c HTTP/1.1");
    }

    #[test]
    fn a_body_is_framed_in_one_way() {
        let post = || Request::post("/").header("transfer-encoding", "chunked");
        check(
            post().header("content-length", "3"),
            Framing::Chunked,
            &expect![[r"
                POST / HTTP/1.1
                x-forwarded-proto: http
                x-forwarded-port: 80
                x-forwarded-for: 10.0.0.9
                transfer-encoding: chunked

            "]],
        );
        check(
            Request::post("/").header("content-length", "3"),
            Framing::Length,
            &expect![[r"
                POST / HTTP/1.1
                content-length: 3
                x-forwarded-proto: http
                x-forwarded-port: 80
                x-forwarded-for: 10.0.0.9

            "]],
        );
        check(
            Request::post("/"),
            Framing::NoBody,
            &expect![[r"
                POST / HTTP/1.1
                x-forwarded-proto: http
                x-forwarded-port: 80
                x-forwarded-for: 10.0.0.9
                content-length: 0

            "]],
        );
    }
}
