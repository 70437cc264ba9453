//! The answers that the load balancer gives itself, with the codes that ALB gives.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, SERVER};
use http::{HeaderValue, Response, StatusCode};

/// Why a request is not answered by a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    BadRequest(&'static str),
    /// CONNECT is for forward proxies.
    Connect,
    NotImplemented(&'static str),
    /// The target refused, broke off, or answered what is not HTTP.
    BadGateway,
    /// No rule, or no target that may be asked.
    NoTarget,
    /// The target took too long.
    GatewayTimeout,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::NoTarget => StatusCode::SERVICE_UNAVAILABLE,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Returns the answer; hyper adds the date.
    pub(super) fn response(self) -> Response<Bytes> {
        let status = self.status();
        let text = match self {
            Self::BadRequest(why) | Self::NotImplemented(why) => format!("{status}: {why}\n"),
            Self::Connect | Self::BadGateway | Self::NoTarget | Self::GatewayTimeout => {
                format!("{status}\n")
            }
        };
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(SERVER, HeaderValue::from_static("roadstead"));
        if self == Self::Connect {
            let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
            headers.insert(http::header::ALLOW, HeaderValue::from_static(methods));
        }
        response
    }
}
