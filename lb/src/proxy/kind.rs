//! What a request is to the protocol of a target group.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Version, request};

use crate::table::ProtocolVersion;

/// Which targets understand it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A call of gRPC.
    Call,
    /// Another POST in HTTP/2, as calls are.
    Http2Post,
    /// Any other request.
    Request,
    /// A connection that is passed on as it is.
    Connection,
}

impl Kind {
    pub(super) fn of(head: &request::Parts) -> Self {
        if head.version != Version::HTTP_2 || head.method != Method::POST {
            return Self::Request;
        }
        match head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) {
            Some(content_type) if is_grpc(content_type) => Self::Call,
            Some(_) | None => Self::Http2Post,
        }
    }

    /// Returns whether such targets understand it; ALB answers 464 if not. Trailers are all that a call ends by, and HTTP/1.1 mostly has
    /// none. That groups of HTTP/2 are asked in it by clients that do not speak it themselves, which ALB refuses, is what a proxy is for.
    pub(super) fn is_understood_by(self, version: ProtocolVersion) -> bool {
        match (version, self) {
            (_, Self::Connection) | (ProtocolVersion::Http2, _) => true,
            (ProtocolVersion::Http1, kind) => kind != Self::Call,
            (ProtocolVersion::Grpc, kind) => kind != Self::Request,
        }
    }
}

/// Returns whether a media type is gRPC's, with or without the form of its messages. What goes on otherwise, such as
/// `application/grpc-web`, is another protocol.
fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    // Parameters come behind a semicolon (RFC 9110 8.3.1).
    let end = content_type.iter().position(|byte| *byte == b';');
    let kind = content_type[..end.unwrap_or(content_type.len())].trim_ascii();
    let (name, form) = kind.split_at(kind.len().min(GRPC.len()));
    name.eq_ignore_ascii_case(GRPC) && matches!(form, [] | [b'+', ..])
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_call_is_a_post_in_http_2_of_what_grpc_calls_its_own() {
        let kind = |version, method, content_type: &str| {
            let request = Request::builder().version(version).method(method);
            let request = request.header("content-type", content_type).body(());
            Kind::of(&request.unwrap().into_parts().0)
        };
        let (old, new) = (Version::HTTP_11, Version::HTTP_2);
        for (version, method, content_type, expected) in [
            (new, "POST", "application/grpc", Kind::Call),
            (new, "POST", "Application/gRPC+proto", Kind::Call),
            (new, "POST", "application/grpc ; a=b", Kind::Call),
            (new, "POST", "application/grpc-web", Kind::Http2Post),
            (new, "POST", "application/json", Kind::Http2Post),
            (new, "POST", "", Kind::Http2Post),
            (new, "GET", "application/grpc", Kind::Request),
            (old, "POST", "application/grpc", Kind::Request),
        ] {
            let kind = kind(version, method, content_type);
            assert_eq!(kind, expected, "{method} of {content_type} in {version:?}");
        }
    }

    #[test]
    fn calls_and_other_requests_have_groups_that_do_not_understand_them() {
        use ProtocolVersion::{Grpc, Http1, Http2};
        for (kind, understood) in [
            (Kind::Call, [false, true, true]),
            (Kind::Http2Post, [true, true, true]),
            (Kind::Request, [true, true, false]),
            (Kind::Connection, [true, true, true]),
        ] {
            let by = [Http1, Http2, Grpc].map(|version| kind.is_understood_by(version));
            assert_eq!(by, understood, "{kind:?}");
        }
    }
}
