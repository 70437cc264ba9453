//! Writes the head of an answer, and the framing of its body (RFC 9112 4 and 6).

use std::time::SystemTime;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version, request};

use crate::framing::{has_no_body, line};
use crate::response::ResponseHead;

/// Where most heads end.
const USUAL_LENGTH: usize = 512;

/// How a client knows where the body of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none, whatever the head says.
    NoBody,
    /// By the header that it has.
    Length,
    /// By a header that is still to be written.
    Exact(u64),
    Chunked,
    UntilClose,
}

/// What of a request decides how it is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    is_head: bool,
    is_1_0: bool,
}

impl Asked {
    pub(super) fn by(head: &request::Parts) -> Self {
        Self {
            is_head: head.method == Method::HEAD,
            is_1_0: head.version == Version::HTTP_10,
        }
    }

    /// The one that could not be read.
    pub(super) const UNKNOWN: Self = Self {
        is_head: false,
        is_1_0: false,
    };

    /// Returns how the body ends; `exact` is its length, if that is known.
    pub(super) fn framing(self, head: &ResponseHead, exact: Option<u64>) -> Framing {
        if self.is_head || has_no_body(head.status) {
            Framing::NoBody
        } else if head.headers.have_a_length() {
            Framing::Length
        } else if let Some(length) = exact {
            Framing::Exact(length)
        } else if self.is_1_0 {
            Framing::UntilClose
        } else {
            Framing::Chunked
        }
    }

    /// Writes an interim answer, unless its client is too old to know of them (RFC 9110 15.2).
    pub(super) fn encode_interim(self, head: &ResponseHead, bytes: &mut Vec<u8>) {
        if self.is_1_0 {
            return;
        }
        status_line(head, bytes);
        head.headers.each(|name, value| line(bytes, name, value));
        bytes.extend_from_slice(b"\r\n");
    }

    /// Writes the head of an answer; `is_last` if the connection ends after it.
    pub(super) fn encode(
        self,
        head: &ResponseHead,
        framing: Framing,
        is_last: bool,
        bytes: &mut Vec<u8>,
    ) {
        bytes.reserve(USUAL_LENGTH);
        status_line(head, bytes);
        let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let has_no_length = switches || head.status == StatusCode::NO_CONTENT;
        let mut is_dated = false;
        head.headers.each(|name, value| {
            is_dated |= is(name, &DATE);
            // RFC 9110 8.6.
            if !(has_no_length && is(name, &CONTENT_LENGTH)) {
                line(bytes, name, value);
            }
        });
        match framing {
            Framing::Exact(length) => {
                own(bytes, &CONTENT_LENGTH, length.to_string().as_bytes());
            }
            Framing::Chunked => own(bytes, &TRANSFER_ENCODING, b"chunked"),
            Framing::NoBody | Framing::Length | Framing::UntilClose => {}
        }
        // RFC 9110 6.6.1: also of what a target has not dated.
        if !is_dated {
            let now = httpdate::fmt_http_date(SystemTime::now());
            own(bytes, &DATE, now.as_bytes());
        }
        if !switches && is_last {
            own(bytes, &CONNECTION, b"close");
        } else if !switches && self.is_1_0 {
            own(bytes, &CONNECTION, b"keep-alive");
        }
        bytes.extend_from_slice(b"\r\n");
    }
}

fn status_line(head: &ResponseHead, bytes: &mut Vec<u8>) {
    // Of HTTP/1.1 also for an older client (RFC 9110 6.2).
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(head.status.as_str().as_bytes());
    bytes.extend_from_slice(b" ");
    let usual = || {
        head.status
            .canonical_reason()
            .unwrap_or_default()
            .as_bytes()
    };
    let reason = head.reason.as_ref().map_or_else(usual, |it| it.as_bytes());
    bytes.extend_from_slice(reason);
    bytes.extend_from_slice(b"\r\n");
}

fn is(name: &[u8], known: &HeaderName) -> bool {
    name.eq_ignore_ascii_case(known.as_str().as_bytes())
}

fn own(bytes: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    line(bytes, name.as_str().as_bytes(), value);
}

#[cfg(test)]
mod tests;
