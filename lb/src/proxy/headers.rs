//! What a request's head says of where it goes.

use std::net::IpAddr;

use http::header::{COOKIE, HOST, MAX_FORWARDS};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri, Version, request};

use super::refusal::Refusal;
use crate::routing::{self, Asked, Readings};

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
    if head.version == Version::HTTP_10 {
        let empty = HeaderValue::from_static("");
        head.headers.entry(HOST).or_insert(empty);
    }
}

/// Counts one off the hops that OPTIONS and TRACE may still go (RFC 9110 7.6.2).
///
/// # Errors
/// Fails when this is the last: it is answered here.
pub(super) fn count_hop(head: &mut request::Parts) -> Result<(), Refusal> {
    let refusal = match head.method {
        Method::OPTIONS => Refusal::LastHopOfOptions,
        Method::TRACE => Refusal::LastHopOfTrace,
        _ => return Ok(()),
    };
    let left = head.headers.get(MAX_FORWARDS);
    let digits = left.and_then(|value| value.to_str().ok());
    let is_number =
        |text: &&str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    // What is no number is passed on as it is.
    let Some(digits) = digits.filter(is_number) else {
        return Ok(());
    };
    let left: u64 = digits.parse().unwrap_or(u64::MAX);
    let left = left.checked_sub(1).ok_or(refusal)?;
    head.headers.insert(MAX_FORWARDS, left.into());
    Ok(())
}

/// Makes one header of the cookies, which HTTP/2 may send apart (RFC 9113 8.2.3).
pub(super) fn join_cookies(head: &mut request::Parts) {
    if head.version != Version::HTTP_2 {
        return;
    }
    let cookies = head.headers.get_all(COOKIE).iter();
    let cookies: Vec<&[u8]> = cookies.map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1 {
        let joined = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
            .expect("values that are joined by visible characters are one value");
        head.headers.insert(COOKIE, joined);
    }
}

/// Returns what rules can ask of a request; its target must be in origin form.
pub(super) fn asked(head: &request::Parts, source: IpAddr) -> Asked<'_> {
    let host = head.headers.get(HOST).and_then(|value| value.to_str().ok());
    Asked {
        method: head.method.as_str(),
        host: routing::host_of(host.unwrap_or_default()),
        path: head.uri.path(),
        readings: Readings::of(head.uri.path()),
        query: head.uri.query(),
        headers: &head.headers,
        source,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn cookies_that_came_apart_are_one_header() {
        let request = Request::builder()
            .version(Version::HTTP_2)
            .header("cookie", "a=1")
            .header("cookie", "b=2; c=3");
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        join_cookies(&mut head);
        let cookies: Vec<_> = head.headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn only_options_and_trace_count_their_hops() {
        let counted = |method: &str, value: &str| {
            let request = Request::builder().method(method);
            let request = request.header("max-forwards", value).body(());
            let (mut head, ()) = request.unwrap().into_parts();
            let goes_on = count_hop(&mut head).is_ok();
            (goes_on, head.headers[MAX_FORWARDS].clone())
        };
        for (method, value, goes_on, left) in [
            ("OPTIONS", "1", true, "0"),
            ("TRACE", "010", true, "9"),
            ("TRACE", "0", false, "0"),
            (
                "OPTIONS",
                "99999999999999999999",
                true,
                "18446744073709551614",
            ),
            ("OPTIONS", "-1", true, "-1"),
            ("OPTIONS", "", true, ""),
            ("GET", "0", true, "0"),
        ] {
            assert_eq!(counted(method, value), (goes_on, left.parse().unwrap()));
        }
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
}
