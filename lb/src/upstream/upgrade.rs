//! Which protocol a request asks to switch to, and whether its target does as it was asked (RFC 9110 7.8).

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Version, request};

use crate::hop;

/// Returns the protocols that a request asks for.
///
/// Whoever also asks for another HTTP gets none: a target that takes it would read, past every check of ours, requests
/// that we take for bytes of a tunnel.
pub(super) fn asked(head: &request::Parts) -> Option<HeaderValue> {
    let mut offers = head.headers.get_all(UPGRADE).iter();
    let (Some(offer), None) = (offers.next(), offers.next()) else {
        return None;
    };
    let mut connection = head.headers.get_all(CONNECTION).iter();
    let meant = head.version == Version::HTTP_11
        && connection.any(|value| has(value, |option| option.eq_ignore_ascii_case(b"upgrade")));
    (meant && !has(offer, is_http)).then(|| offer.clone())
}

/// Returns whether the protocol that a target has switched to is one that was asked for.
pub(super) fn agree(asked: &HeaderValue, taken: &HeaderValue) -> bool {
    let known = |protocol: &[u8]| has(asked, |asked| asked.eq_ignore_ascii_case(protocol));
    hop::elements(taken.as_bytes()).all(known)
}

fn has(list: &HeaderValue, condition: impl Fn(&[u8]) -> bool) -> bool {
    hop::elements(list.as_bytes()).any(condition)
}

fn is_http(protocol: &[u8]) -> bool {
    let name = protocol.split(|byte| *byte == b'/').next();
    let name = name.unwrap_or_default().trim_ascii();
    [&b"h2c"[..], b"h2", b"http"]
        .iter()
        .any(|http| name.eq_ignore_ascii_case(http))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asks(headers: &[(&str, &str)]) -> bool {
        let builder = headers.iter().fold(Request::builder(), |builder, header| {
            builder.header(header.0, header.1)
        });
        asked(&builder.body(()).unwrap().into_parts().0).is_some()
    }

    #[test]
    fn an_upgrade_is_meant_when_connection_says_so() {
        assert!(asks(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket")
        ]));
        assert!(!asks(&[("upgrade", "websocket")]));
        assert!(!asks(&[("connection", "upgrade")]));
        assert!(!asks(&[
            ("connection", "upgrade"),
            ("upgrade", "a"),
            ("upgrade", "b")
        ]));
    }

    #[test]
    fn an_upgrade_to_another_http_is_never_passed_on() {
        for protocol in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "http / 3"] {
            let headers = [("connection", "upgrade"), ("upgrade", protocol)];
            assert!(!asks(&headers), "{protocol}");
        }
    }

    #[test]
    fn a_target_takes_one_of_the_protocols_that_were_asked_for() {
        let value = HeaderValue::from_static;
        let asked = value("websocket, raw/1");
        assert!(agree(&asked, &value("WebSocket")));
        assert!(agree(&asked, &value("raw/1")));
        assert!(!agree(&asked, &value("raw")));
        assert!(!agree(&asked, &value("")));
    }
}
