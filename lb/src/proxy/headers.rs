//! Which headers stay on one hop, and which the load balancer adds.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri, request};
use hyper::body::Body;

use crate::client::Client;
use crate::routing;

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Removes what concerns one connection only (RFC 9110 7.6.1), and what `Connection` names.
///
/// The framing is written anew on the next hop. A length that `Connection` names is kept: dropping
/// it would let a sender change where its message ends.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .filter(|name| *name != CONTENT_LENGTH && *name != HOST)
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in [
        &KEEP_ALIVE,
        &PROXY_CONNECTION,
        &TE,
        &TRANSFER_ENCODING,
        &UPGRADE,
    ] {
        headers.remove(name);
    }
}

/// Makes a client's headers into those that its target gets.
pub(super) fn prepare(headers: &mut HeaderMap, client: &Client) {
    remove_hop_by_hop(headers);
    // hyper has answered it, on our hop, by the time the body is read.
    headers.remove(EXPECT);
    headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    headers.insert(&X_FORWARDED_PORT, client.forwarded_port.clone());
    let forwarded_for = if headers.contains_key(&X_FORWARDED_FOR) {
        appended(headers, &client.forwarded_for)
    } else {
        client.forwarded_for.clone()
    };
    headers.insert(&X_FORWARDED_FOR, forwarded_for);
}

fn appended(headers: &HeaderMap, address: &HeaderValue) -> HeaderValue {
    let mut list = Vec::new();
    for value in headers.get_all(&X_FORWARDED_FOR) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(address.as_bytes());
    // Values that were headers before are one again when joined.
    HeaderValue::from_maybe_shared(bytes::Bytes::from(list)).unwrap_or_else(|_| address.clone())
}

/// Leaves the path and the query of a target in absolute form; its host counts more than the header
/// (RFC 9112 3.2.2). An HTTP/1.0 client's missing host becomes an empty one.
pub(super) fn to_origin_form(head: &mut request::Parts) {
    if let Some(authority) = head.uri.authority() {
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            head.headers.insert(HOST, host);
        }
        let path = head.uri.path_and_query().cloned();
        head.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    }
    head.headers
        .entry(HOST)
        .or_insert(HeaderValue::from_static(""));
}

/// Returns the host of a request, without its port.
pub(super) fn host(headers: &HeaderMap) -> &str {
    let value = headers.get(HOST).and_then(|value| value.to_str().ok());
    routing::host_of(value.unwrap_or_default())
}

/// Returns whether a request may be sent twice: safe (RFC 9110 9.2.1), so that there is nothing to act
/// on, and without a body.
pub(super) fn is_replayable<B: Body>(request: &Request<B>) -> bool {
    request.method().is_safe() && request.body().is_end_stream()
}

/// Names the framing of a body without a length: hyper gives a GET or a HEAD none by itself, and would
/// drop what they carry.
pub(super) fn frame<B: Body>(request: &mut Request<B>) {
    if !request.body().is_end_stream() && !request.headers().contains_key(CONTENT_LENGTH) {
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |header: &(&'static str, &'static str)| {
            let name = HeaderName::from_static(header.0);
            (name, HeaderValue::from_static(header.1))
        };
        headers.iter().map(pair).collect()
    }

    #[test]
    fn only_a_safe_request_without_a_body_may_be_sent_twice() {
        let request = |method: &str| {
            let request = Request::builder().method(method);
            request
                .body(http_body_util::Empty::<bytes::Bytes>::new())
                .unwrap()
        };
        assert!(is_replayable(&request("GET")) && is_replayable(&request("HEAD")));
        assert!(!is_replayable(&request("PUT")) && !is_replayable(&request("DELETE")));
    }

    #[test]
    fn a_get_with_a_body_of_unknown_length_keeps_it() {
        let body = http_body_util::BodyExt::boxed(http_body_util::StreamBody::new(
            futures_util::stream::empty::<Result<hyper::body::Frame<bytes::Bytes>, std::io::Error>>(
            ),
        ));
        let mut request = Request::builder().method("GET").body(body).unwrap();
        frame(&mut request);
        assert_eq!(request.headers()[TRANSFER_ENCODING], "chunked");
    }

    #[test]
    fn what_concerns_one_hop_is_removed_with_all_that_connection_names() {
        let mut headers = map(&[
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("x-public", "2"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("x-public", "2")]));
    }

    #[test]
    fn connection_cannot_name_the_length_or_the_host_away() {
        let mut headers = map(&[
            ("connection", "content-length, host"),
            ("content-length", "3"),
            ("host", "a"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("content-length", "3"), ("host", "a")]));
    }

    #[test]
    fn a_target_in_absolute_form_gives_the_host() {
        let request = Request::builder()
            .uri("http://real.example:81/a?b=c")
            .header("host", "other.example");
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        to_origin_form(&mut head);
        assert_eq!(head.uri, "/a?b=c");
        assert_eq!(head.headers[HOST], "real.example:81");
    }

    #[test]
    fn the_clients_address_is_appended_to_those_of_earlier_proxies() {
        let headers = map(&[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
        ]);
        let list = appended(&headers, &HeaderValue::from_static("3.3.3.3"));
        assert_eq!(list, "1.1.1.1, 2.2.2.2, 3.3.3.3");
    }
}
