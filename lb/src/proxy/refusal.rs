//! The answers that the load balancer gives itself, with the codes that ALB gives.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

/// Long enough for what is under way to end, mostly, and short enough for people.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);

/// Why a request is not answered by a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    BadRequest(&'static str),
    /// The request has passed more proxies than ALB lets it: most likely it goes round in a circle.
    TooManyProxies,
    /// The target group's targets speak another protocol: ALB's code for it.
    IncompatibleProtocol,
    /// CONNECT is for forward proxies.
    Connect,
    /// It has come as far as it may (RFC 9110 7.6.2), and is answered.
    LastHopOfOptions,
    /// So has this; what TRACE shows nobody need see.
    LastHopOfTrace,
    /// The client has begun a body and does not go on.
    RequestTimeout,
    /// The client makes more requests than its listener lets it; so long it must wait.
    TooManyRequests(Duration),
    /// More requests are under way, or wait, than there may be.
    Overload,
    /// The target refused, broke off, or answered what is not HTTP.
    BadGateway,
    /// No rule, or no target that may be asked.
    NoTarget,
    /// The target took too long.
    GatewayTimeout,
}

/// Returns a code that only ALB has.
fn alb_code(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("a code of three digits is one")
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooManyProxies => alb_code(463),
            Self::IncompatibleProtocol => alb_code(464),
            Self::LastHopOfOptions => StatusCode::OK,
            Self::Connect | Self::LastHopOfTrace => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::NoTarget | Self::Overload => StatusCode::SERVICE_UNAVAILABLE,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::TooManyRequests(pause) => Some(pause),
            Self::Overload => Some(OVERLOAD_PAUSE),
            Self::BadRequest(_)
            | Self::TooManyProxies
            | Self::IncompatibleProtocol
            | Self::Connect
            | Self::LastHopOfOptions
            | Self::LastHopOfTrace
            | Self::RequestTimeout
            | Self::BadGateway
            | Self::NoTarget
            | Self::GatewayTimeout => None,
        }
    }

    /// Returns what the status alone does not say.
    fn explanation(self) -> Option<&'static str> {
        match self {
            Self::BadRequest(why) => Some(why),
            Self::TooManyProxies => Some("the request has passed too many proxies"),
            Self::IncompatibleProtocol => Some("the target group takes another protocol"),
            Self::Connect
            | Self::LastHopOfOptions
            | Self::LastHopOfTrace
            | Self::RequestTimeout
            | Self::TooManyRequests(_)
            | Self::Overload
            | Self::BadGateway
            | Self::NoTarget
            | Self::GatewayTimeout => None,
        }
    }

    /// Returns whether what follows on the connection may not be what the client means by it: RFC 9112 9.6, and 6.3 for what
    /// is malformed.
    pub(super) fn ends_connection(self) -> bool {
        match self {
            Self::BadRequest(_) | Self::Connect | Self::RequestTimeout => true,
            Self::TooManyProxies
            | Self::IncompatibleProtocol
            | Self::TooManyRequests(_)
            | Self::LastHopOfOptions
            | Self::LastHopOfTrace
            | Self::Overload
            | Self::BadGateway
            | Self::NoTarget
            | Self::GatewayTimeout => false,
        }
    }

    /// Returns the answer, but for its date.
    pub(super) fn response(self) -> Response<Bytes> {
        let status = self.status();
        // ALB's own codes have no reason phrase to be known by.
        let phrase = match status.canonical_reason() {
            Some(reason) => format!("{} {reason}", status.as_str()),
            None => status.as_str().to_owned(),
        };
        let text = match self.explanation() {
            Some(why) => format!("{phrase}: {why}\n"),
            None => format!("{phrase}\n"),
        };
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        if matches!(
            self,
            Self::Connect | Self::LastHopOfOptions | Self::LastHopOfTrace
        ) {
            let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(pause) = self.retry_after() {
            let seconds = pause.as_millis().div_ceil(1000);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
