//! Reads the head of an answer, and from it how the body ends (RFC 9112 6.3).

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Method, StatusCode};
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;

use crate::framing::{self, Body, FramingError};
use crate::hop;
use crate::response::{Headers, Lines, ResponseHead};

/// Every answer begins with it; who speaks something else may never send a whole head.
const PROTOCOL: &[u8] = b"HTTP/1.";
const MOST_HEAD_BYTES: usize = 64 * 1024;
const MOST_HEADERS: usize = 128;

/// What a target sent is not an answer of HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the head of the answer is not HTTP/1.1")]
    Head,
    #[error("the head of the answer is longer than {MOST_HEAD_BYTES} bytes")]
    HeadTooLong,
    #[error(transparent)]
    Framing(#[from] FramingError),
    #[error("the answer has a transfer coding that was not asked for")]
    Coding,
    #[error("the target switched to a protocol that was not asked for")]
    Upgrade,
}

/// The head of an answer, with the headers that are passed on.
pub(super) struct Head {
    pub(super) response: Box<ResponseHead>,
    pub(super) body: Body,
    /// Whether the target lets the connection be used again.
    pub(super) keep_alive: bool,
    /// Which protocol it switches to, or could.
    pub(super) upgrade: Option<HeaderValue>,
}

/// What may come at the beginning of an answer.
pub(super) enum Taken {
    /// More is to come, and the client may be told this meanwhile.
    Interim(Box<ResponseHead>),
    Final(Head),
}

/// Takes the next head of the answer to a request with `method` from `input`; `None` when more input is
/// needed. 100 is passed over: whether a client is to go on is ours to say.
pub(super) fn take_head(input: &mut BytesMut, method: &Method) -> Result<Option<Taken>, Malformed> {
    loop {
        // Byte by byte: a call to compare so few, right behind one of the kernel, costs ten times as much.
        let mut begins = input.iter().zip(PROTOCOL);
        if begins.any(|(byte, expected)| byte != expected) {
            return Err(Malformed::Head);
        }
        let end = end_of_head(input);
        if end.unwrap_or(input.len()) > MOST_HEAD_BYTES {
            return Err(Malformed::HeadTooLong);
        }
        let Some(end) = end else {
            return Ok(None);
        };
        let head = parse(&framing::cut(input, end), method)?;
        let status = head.response.status;
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Some(Taken::Final(head)));
        }
        if status != StatusCode::CONTINUE {
            return Ok(Some(Taken::Interim(head.response)));
        }
    }
}

/// Returns where the first empty line ends. A line may end in LF alone (RFC 9112 2.2).
fn end_of_head(input: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', input).find_map(|end| match &input[end + 1..] {
        [b'\n', ..] => Some(end + 2),
        [b'\r', b'\n', ..] => Some(end + 3),
        _ => None,
    })
}

fn parse(bytes: &Bytes, method: &Method) -> Result<Head, Malformed> {
    let mut headers = [MaybeUninit::uninit(); MOST_HEADERS];
    let mut head = httparse::Response::new(&mut []);
    // RFC 9112 5.1: of an answer, white space before a colon is left out. Of a request it is an error.
    let parsed = ParserConfig::default()
        .allow_spaces_after_header_name_in_responses(true)
        .parse_response_with_uninit_headers(&mut head, bytes, &mut headers);
    let (Ok(Status::Complete(_)), Some(minor), Some(code)) = (parsed, head.version, head.code)
    else {
        return Err(Malformed::Head);
    };
    let status = StatusCode::from_u16(code).map_err(|_| Malformed::Head)?;
    let reason = head
        .reason
        .filter(|reason| status.canonical_reason() != Some(reason));
    let reason = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok());
    let mut fields = Fields::new(minor, Lines::of(bytes.clone(), head.headers.len()));
    for header in &*head.headers {
        fields.add(header.name, header.value)?;
    }
    Ok(fields.finish(status, reason, method))
}

/// The headers of an answer: those that are passed on, and what the others say.
struct Fields {
    lines: Lines,
    private: Vec<HeaderName>,
    minor: u8,
    close: bool,
    keep_alive: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: Option<HeaderValue>,
}

impl Fields {
    fn new(minor: u8, lines: Lines) -> Self {
        Self {
            lines,
            private: Vec::new(),
            minor,
            close: false,
            keep_alive: false,
            length: None,
            chunked: false,
            upgrade: None,
        }
    }

    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Malformed> {
        let is = |known: &HeaderName| name.eq_ignore_ascii_case(known.as_str());
        if is(&CONNECTION) {
            let says =
                |what: &[u8]| hop::elements(value).any(|option| option.eq_ignore_ascii_case(what));
            self.close |= says(b"close");
            self.keep_alive |= says(b"keep-alive");
            self.private.extend(hop::named(value));
        } else if is(&TRANSFER_ENCODING) {
            // Another coding was not asked for, and its name would be lost with this header.
            if self.chunked || self.minor == 0 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed::Coding);
            }
            self.chunked = true;
        } else if is(&CONTENT_LENGTH) {
            let length = length(value)?;
            match self.length.replace(length) {
                None if value.contains(&b',') => self.lines.push_length(length),
                None => self.lines.push(name, value),
                Some(before) if before == length => {}
                Some(_) => return Err(FramingError::Length.into()),
            }
        } else if is(&UPGRADE) {
            self.upgrade = HeaderValue::from_bytes(value).ok();
        } else if !hop::is_named_hop_by_hop(name) {
            self.lines.push(name, value);
        }
        Ok(())
    }

    fn finish(mut self, status: StatusCode, reason: Option<ReasonPhrase>, method: &Method) -> Head {
        for name in &self.private {
            self.lines.remove(name);
        }
        if status.is_informational() {
            // RFC 9110 8.6.
            self.lines.remove(&CONTENT_LENGTH);
        }
        let bodiless = *method == Method::HEAD || framing::has_no_body(status);
        let mut keep_alive = !self.close && (self.minor > 0 || self.keep_alive);
        if self.chunked && self.length.is_some() {
            // The coding counts (RFC 9112 6.3), but who sends both is not to be trusted further.
            self.lines.remove(&CONTENT_LENGTH);
            keep_alive = false;
        }
        let body = match (bodiless, self.chunked, self.length) {
            (true, _, _) => Body::NONE,
            (false, true, _) => Body::in_chunks(self.private),
            (false, false, Some(length)) => Body::Length(length),
            (false, false, None) => {
                keep_alive = false;
                Body::UntilClose
            }
        };
        Head {
            response: Box::new(ResponseHead {
                status,
                reason,
                headers: Headers::Lines(self.lines),
            }),
            body,
            keep_alive,
            upgrade: self.upgrade,
        }
    }
}

/// Reads a length; a list of equal ones is one (RFC 9110 8.6).
fn length(value: &[u8]) -> Result<u64, FramingError> {
    let mut lengths = hop::elements(value).map(framing::length);
    let first = lengths.next().unwrap_or(Err(FramingError::Length))?;
    for other in lengths {
        if other? != first {
            return Err(FramingError::Length);
        }
    }
    Ok(first)
}

#[cfg(test)]
mod tests;
