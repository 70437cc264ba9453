//! Why a request got no answer of a target, or not to the end: for the access log and the metrics.

/// One reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    BadRequest,
    TooManyHeaders,
    TooManyProxies,
    IncompatibleProtocol,
    MethodNotAllowed,
    ClientTimeout,
    RateLimited,
    Overload,
    NoTarget,
    ConnectFailed,
    ConnectTimeout,
    ConnectionClosed,
    MalformedAnswer,
    AnswerTimeout,
    DeregistrationDelay,
    ProtocolChanged,
    AnswerBrokenOff,
    Stalled,
    ClientClosed,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 19] = [
        Self::BadRequest,
        Self::TooManyHeaders,
        Self::TooManyProxies,
        Self::IncompatibleProtocol,
        Self::MethodNotAllowed,
        Self::ClientTimeout,
        Self::RateLimited,
        Self::Overload,
        Self::NoTarget,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::ConnectionClosed,
        Self::MalformedAnswer,
        Self::AnswerTimeout,
        Self::DeregistrationDelay,
        Self::ProtocolChanged,
        Self::AnswerBrokenOff,
        Self::Stalled,
        Self::ClientClosed,
    ];

    /// Returns its name in the access log and the metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::TooManyHeaders => "too_many_headers",
            Self::TooManyProxies => "too_many_proxies",
            Self::IncompatibleProtocol => "incompatible_protocol",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ClientTimeout => "client_timeout",
            Self::RateLimited => "rate_limited",
            Self::Overload => "overload",
            Self::NoTarget => "no_target",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectionClosed => "connection_closed",
            Self::MalformedAnswer => "malformed_answer",
            Self::AnswerTimeout => "answer_timeout",
            Self::DeregistrationDelay => "deregistration_delay",
            Self::ProtocolChanged => "protocol_changed",
            Self::AnswerBrokenOff => "answer_broken_off",
            Self::Stalled => "stalled",
            Self::ClientClosed => "client_closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_its_number_and_a_name_of_its_own() {
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "{reason:?}");
        }
        let names: BTreeSet<_> = Reason::ALL.map(Reason::name).into();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
