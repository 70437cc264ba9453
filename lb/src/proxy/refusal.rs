//! The answers that the load balancer gives itself, with the codes that ALB gives.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::reason::Reason;
use crate::upstream::ExchangeError;

/// Long enough for what is under way to end, mostly, and short enough for people.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);

/// Why a request is not answered by a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    BadRequest(&'static str),
    TooManyHeaders,
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
    /// No rule, or no target that may be asked.
    NoTarget,
    /// The target gave none.
    Target(Failure),
}

/// Why a target gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It cannot be reached, or does not shake hands.
    Connect,
    ConnectTimeout,
    Closed,
    /// What it said is not HTTP.
    Malformed,
    /// Nothing moved for too long.
    Silent,
    /// Its deregistration delay was over.
    Cut,
    /// A new table says that it speaks another HTTP.
    Changed,
}

impl Failure {
    /// Returns what a failed exchange was.
    pub(super) fn of(error: &ExchangeError) -> Self {
        match error {
            ExchangeError::Malformed(_) => Self::Malformed,
            ExchangeError::Target(_)
            | ExchangeError::Closed
            | ExchangeError::Call(_)
            | ExchangeError::Client(_) => Self::Closed,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::ConnectTimeout | Self::Silent => StatusCode::GATEWAY_TIMEOUT,
            Self::Connect | Self::Closed | Self::Malformed | Self::Cut | Self::Changed => {
                StatusCode::BAD_GATEWAY
            }
        }
    }

    fn reason(self) -> Reason {
        match self {
            Self::Connect => Reason::ConnectFailed,
            Self::ConnectTimeout => Reason::ConnectTimeout,
            Self::Closed => Reason::ConnectionClosed,
            Self::Malformed => Reason::MalformedAnswer,
            Self::Silent => Reason::AnswerTimeout,
            Self::Cut => Reason::DeregistrationDelay,
            Self::Changed => Reason::ProtocolChanged,
        }
    }
}

/// Returns a code that only ALB has.
fn alb_code(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("a code of three digits is one")
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooManyProxies => alb_code(463),
            Self::IncompatibleProtocol => alb_code(464),
            Self::LastHopOfOptions => StatusCode::OK,
            Self::Connect | Self::LastHopOfTrace => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoTarget | Self::Overload => StatusCode::SERVICE_UNAVAILABLE,
            Self::Target(failure) => failure.status(),
        }
    }

    /// Returns what the access log and the metrics have of it; `None` where nothing is wrong.
    pub(super) fn reason(self) -> Option<Reason> {
        Some(match self {
            Self::BadRequest(_) => Reason::BadRequest,
            Self::TooManyHeaders => Reason::TooManyHeaders,
            Self::TooManyProxies => Reason::TooManyProxies,
            Self::IncompatibleProtocol => Reason::IncompatibleProtocol,
            Self::Connect | Self::LastHopOfTrace => Reason::MethodNotAllowed,
            Self::LastHopOfOptions => return None,
            Self::RequestTimeout => Reason::ClientTimeout,
            Self::TooManyRequests(_) => Reason::RateLimited,
            Self::Overload => Reason::Overload,
            Self::NoTarget => Reason::NoTarget,
            Self::Target(failure) => failure.reason(),
        })
    }

    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::TooManyRequests(pause) => Some(pause),
            Self::Overload => Some(OVERLOAD_PAUSE),
            Self::BadRequest(_)
            | Self::TooManyHeaders
            | Self::TooManyProxies
            | Self::IncompatibleProtocol
            | Self::Connect
            | Self::LastHopOfOptions
            | Self::LastHopOfTrace
            | Self::RequestTimeout
            | Self::NoTarget
            | Self::Target(_) => None,
        }
    }

    /// Returns what the status alone does not say.
    fn explanation(self) -> Option<&'static str> {
        match self {
            Self::BadRequest(why) => Some(why),
            Self::TooManyHeaders => Some("a request has at most 100"),
            Self::TooManyProxies => Some("the request has passed too many proxies"),
            Self::IncompatibleProtocol => Some("the target group takes another protocol"),
            Self::Connect
            | Self::LastHopOfOptions
            | Self::LastHopOfTrace
            | Self::RequestTimeout
            | Self::TooManyRequests(_)
            | Self::Overload
            | Self::NoTarget
            | Self::Target(_) => None,
        }
    }

    /// Returns whether what follows on the connection may not be what the client means by it: RFC 9112 9.6, and 6.3 for what
    /// is malformed.
    pub(super) fn ends_connection(self) -> bool {
        match self {
            Self::BadRequest(_) | Self::Connect | Self::RequestTimeout => true,
            Self::TooManyHeaders
            | Self::TooManyProxies
            | Self::IncompatibleProtocol
            | Self::TooManyRequests(_)
            | Self::LastHopOfOptions
            | Self::LastHopOfTrace
            | Self::Overload
            | Self::NoTarget
            | Self::Target(_) => false,
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
