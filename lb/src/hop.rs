//! Which headers concern one connection only, and stay on it (RFC 9110 7.6.1).

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

/// The headers that always concern one connection. The framing is among them: it is written anew on the next hop.
static ALWAYS: [HeaderName; 6] = [
    CONNECTION,
    TRANSFER_ENCODING,
    TE,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Returns whether a header always concerns one connection.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    ALWAYS.contains(name)
}

/// As [`is_hop_by_hop`], of a name that is still as it was read.
pub(crate) fn is_named_hop_by_hop(name: &str) -> bool {
    let mut names = ALWAYS.iter();
    names.any(|hop| name.eq_ignore_ascii_case(hop.as_str()))
}

/// Returns the other headers that a `Connection` header's value names.
///
/// A length and a host that it names are kept: dropping them would let a sender change where its
/// message ends, and whom it is for.
pub(crate) fn named(value: &[u8]) -> impl Iterator<Item = HeaderName> + '_ {
    // Those that most messages have; none of them names a header that would be passed on.
    let usual = [&b"keep-alive"[..], b"close", b"upgrade"];
    elements(value)
        .filter(move |option| !usual.iter().any(|usual| option.eq_ignore_ascii_case(usual)))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .filter(|name| *name != CONTENT_LENGTH && *name != HOST && !is_hop_by_hop(name))
}

/// Returns what all `Connection` headers name, as [`named`] does.
pub(crate) fn private(headers: &HeaderMap) -> Vec<HeaderName> {
    let connection = headers.get_all(CONNECTION).iter();
    connection
        .flat_map(|value| named(value.as_bytes()))
        .collect()
}

/// Headers that a target believes because a load balancer says them, or that frame a message.
const BELIEVED: [&str; 5] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-port",
    "content-length",
    "transfer-encoding",
];
/// As these, of a client's certificate: whoever says them, only a load balancer may.
const OF_CERTIFICATES: &str = "x-amzn-mtls-clientcert";

/// Returns whether a target would believe that a header comes from a load balancer, though a client has sent it. Servers that hand headers
/// on in environment variables (RFC 3875 4.1.18) take `_` for `-`.
fn is_pretended(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    let reads_as = |name: &[u8], believed: &str| {
        let read = name
            .iter()
            .map(|byte| if *byte == b'_' { b'-' } else { *byte });
        read.eq(believed.bytes())
    };
    // Most are seen not to be one by their length.
    match name.len() {
        14..=17 if name.contains(&b'_') => BELIEVED.iter().any(|believed| reads_as(name, believed)),
        22.. => reads_as(&name[..OF_CERTIFICATES.len()], OF_CERTIFICATES),
        _ => false,
    }
}

/// Returns the headers of a request that go on to its target, as far as the version of HTTP has no say. An expectation was meant for
/// us: the body is asked for when the target is there.
pub(crate) fn going_on(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let private = private(headers);
    let stays = move |name: &HeaderName| {
        is_hop_by_hop(name) || private.contains(name) || *name == EXPECT || is_pretended(name)
    };
    headers.iter().filter(move |(name, _)| !stays(name))
}

/// What may not come after the body: framing and routing must be known before (RFC 9110 6.5.1).
fn never_trailing() -> impl Iterator<Item = &'static HeaderName> {
    ALWAYS.iter().chain([&CONTENT_LENGTH, &HOST])
}

/// Returns whether a field may come after the body.
pub(crate) fn may_trail(name: &HeaderName) -> bool {
    never_trailing().all(|never| never != name)
}

/// Mends trailers of HTTP/2, as [`trim`] does, and leaves out what may not be among them.
pub(crate) fn mend_trailers(trailers: &mut HeaderMap) {
    for name in never_trailing() {
        trailers.remove(name);
    }
    trim(trailers);
}

/// Takes away white space around values, which h2 lets through and RFC 9113 8.2.1 does not.
pub(crate) fn trim(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        let trimmed = value.as_bytes().trim_ascii();
        if trimmed.len() < value.len()
            && let Ok(mut mended) = HeaderValue::from_bytes(trimmed)
        {
            mended.set_sensitive(value.is_sensitive());
            *value = mended;
        }
    }
}

/// Returns whether an `Expect` header's value says that its client waits to be told to send the body (RFC 9110 10.1.1).
pub(crate) fn expects_continue(value: &[u8]) -> bool {
    elements(value).any(|expected| expected.eq_ignore_ascii_case(b"100-continue"))
}

/// Returns the elements of a list (RFC 9110 5.6.1), such as `Connection` and `Content-Length` have.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_names_further_headers_but_neither_the_length_nor_the_host() {
        let names: Vec<_> =
            named(b"close, X-Private,keep-alive , content-length, host, b@d").collect();
        assert_eq!(names, ["x-private"]);
    }

    #[test]
    fn what_a_target_believes_comes_under_no_other_name() {
        for (name, goes_on) in [
            ("x_forwarded_for", false),
            ("x-forwarded_proto", false),
            ("x_forwarded-port", false),
            ("content_length", false),
            ("transfer_encoding", false),
            ("x-forwarded-for", true),
            ("x_forwarded_by", true),
            ("x_request_id", true),
            ("x-amzn-mtls-clientcert", false),
            ("x_amzn_mtls_clientcert_subject", false),
            ("x-amzn-mtls-clientcert-leaf", false),
            ("x-amzn-mtls-other-thing", true),
        ] {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static(name),
                HeaderValue::from_static("1"),
            )]);
            assert_eq!(going_on(&headers).count() == 1, goes_on, "{name}");
        }
    }

    #[test]
    fn what_concerns_the_message_is_passed_on() {
        for name in ["content-length", "trailer", "host", "accept"] {
            assert!(!is_hop_by_hop(&HeaderName::from_static(name)), "{name}");
        }
    }
}
