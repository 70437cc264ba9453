//! Reads the head of a request, and from it how the body ends (RFC 9112 3 and 6.3).
//!
//! Who stands before us, or behind us, may read otherwise what can be read in two ways. None of that is guessed: it is refused.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, request};
use httparse::{ParserConfig, Status};

use crate::client::MOST_HEADERS;
use crate::framing::{self, Body};
use crate::hop;

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Malformed,
    TooLong,
    /// Already the first line is (RFC 9112 3).
    TargetTooLong,
    /// The body has codings beneath the chunks: they would be lost, for it goes on as plain chunks (RFC 9112 6.1).
    Coding,
}

impl Refused {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Coding => StatusCode::NOT_IMPLEMENTED,
        }
    }
}

/// The head of a request.
#[derive(Debug)]
pub(super) struct Head {
    /// Boxed, for they go from hand to hand.
    pub(super) parts: Box<request::Parts>,
    pub(super) body: Body,
    /// Whether the client lets the connection be used again.
    pub(super) keep_alive: bool,
    /// Whether it waits to be told to send the body (RFC 9110 10.1.1).
    pub(super) expects_continue: bool,
}

/// Takes the head of a request from `input`; `None` when more input is needed. `looked_at` is how much of the input was seen before
/// in vain: no line's end is looked for twice, however slowly it comes.
pub(super) fn take(
    input: &mut BytesMut,
    looked_at: &mut usize,
    most_bytes: usize,
) -> Result<Option<Head>, Refused> {
    // RFC 9112 2.2: empty lines before a request are passed over.
    while input.starts_with(b"\r\n") {
        input.advance(2);
        *looked_at = looked_at.saturating_sub(2);
    }
    let end = end(input, looked_at)?;
    if end.unwrap_or(input.len()) > most_bytes {
        let has_a_line = input[..most_bytes].contains(&b'\n');
        return Err(match has_a_line {
            true => Refused::TooLong,
            false => Refused::TargetTooLong,
        });
    }
    let Some(end) = end else {
        return Ok(None);
    };
    *looked_at = 0;
    parse(&framing::cut(input, end)).map(Some)
}

/// Returns where the first empty line ends. A line that ends in LF alone may end there for a reader, or not (RFC 9112 2.2).
fn end(input: &[u8], looked_at: &mut usize) -> Result<Option<usize>, Refused> {
    // What begins no method is not HTTP, and may never send a line.
    let begins = input.iter().find(|byte| **byte != b'\r');
    if begins.is_some_and(|byte| !byte.is_ascii_graphic()) {
        return Err(Refused::Malformed);
    }
    let from = *looked_at;
    for found in memchr::memchr_iter(b'\n', &input[from..]) {
        let line_feed = from + found;
        match &input[..line_feed] {
            [.., b'\n', b'\r'] => return Ok(Some(line_feed + 1)),
            [.., b'\r'] => {}
            _ => return Err(Refused::Malformed),
        }
    }
    *looked_at = input.len();
    Ok(None)
}

fn parse(bytes: &Bytes) -> Result<Head, Refused> {
    let mut headers = [MaybeUninit::uninit(); MOST_HEADERS];
    let mut head = httparse::Request::new(&mut []);
    let parsed =
        ParserConfig::default().parse_request_with_uninit_headers(&mut head, bytes, &mut headers);
    match parsed {
        Ok(Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refused::TooLong),
        Ok(Status::Partial) | Err(_) => return Err(Refused::Malformed),
    }
    let (Some(minor), Some(method), Some(target)) = (head.version, head.method, head.path) else {
        return Err(Refused::Malformed);
    };
    // `Uri` would cut it off there; who stands before us may not have.
    if memchr::memchr(b'#', target.as_bytes()).is_some() {
        return Err(Refused::Malformed);
    }
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(method.as_bytes()).map_err(|_| Refused::Malformed)?;
    parts.uri = Uri::from_maybe_shared(bytes.slice_ref(target.as_bytes()))
        .map_err(|_| Refused::Malformed)?;
    // RFC 9112 3.2.4: of a server as a whole, which only we can tell it. `Uri` would make "/" of no path.
    if parts.method == Method::OPTIONS && has_no_path(&parts.uri, target) {
        let mut uri = parts.uri.into_parts();
        uri.path_and_query = Some(PathAndQuery::from_static("*"));
        parts.uri = Uri::from_parts(uri).map_err(|_| Refused::Malformed)?;
    }
    parts.version = match minor {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    if !has_a_form(&parts) {
        return Err(Refused::Malformed);
    }
    let mut fields = Fields::new(minor, head.headers.len());
    for header in &*head.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Refused::Malformed);
        };
        fields.add(name, value)?;
    }
    fields.finish(parts)
}

/// Returns whether a target is nothing but a scheme and an authority.
fn has_no_path(uri: &Uri, target: &str) -> bool {
    let parts = uri.scheme_str().zip(uri.authority());
    parts.is_some_and(|(scheme, authority)| {
        target.len() == scheme.len() + "://".len() + authority.as_str().len()
    })
}

/// Returns whether the target has the form that its method lets it have (RFC 9112 3.2).
fn has_a_form(parts: &request::Parts) -> bool {
    let is_authority = parts.uri.scheme().is_none() && parts.uri.authority().is_some();
    let is_asterisk = parts.uri.path() == "*";
    is_authority == (parts.method == Method::CONNECT)
        && (!is_asterisk || parts.method == Method::OPTIONS)
}

/// The headers of a request, and what they say of it.
struct Fields {
    headers: HeaderMap,
    minor: u8,
    close: bool,
    keep_alive: bool,
    length: Option<u64>,
    codings: usize,
    is_chunked: bool,
    expects_continue: bool,
}

impl Fields {
    fn new(minor: u8, count: usize) -> Self {
        Self {
            // An older client may not name its host, and then gets an empty one.
            headers: HeaderMap::with_capacity(count + 1),
            minor,
            close: false,
            keep_alive: false,
            length: None,
            codings: 0,
            is_chunked: false,
            expects_continue: false,
        }
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Refused> {
        if name == CONTENT_LENGTH {
            let length = framing::length(value.as_bytes()).map_err(|_| Refused::Malformed)?;
            // Equal ones might be taken for one (RFC 9110 8.6), but who sends them is not worth a reading that others do not share.
            if self.length.replace(length).is_some() {
                return Err(Refused::Malformed);
            }
        } else if name == TRANSFER_ENCODING {
            for coding in hop::elements(value.as_bytes()) {
                self.is_chunked = coding.eq_ignore_ascii_case(b"chunked");
                self.codings += 1;
            }
        } else if name == CONNECTION {
            for option in hop::elements(value.as_bytes()) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if name == EXPECT {
            self.expects_continue |= hop::expects_continue(value.as_bytes());
        }
        self.headers.append(name, value);
        Ok(())
    }

    fn finish(self, mut parts: request::Parts) -> Result<Head, Refused> {
        let is_1_0 = self.minor == 0;
        let body = match (self.codings, self.length) {
            (0, None) => Body::NONE,
            (0, Some(length)) => Body::Length(length),
            // One reader would believe the length, and another the coding; the former knows the one, the latter not; and a body
            // whose last coding is another has no end (RFC 9112 6.1 and 6.3).
            (1, None) if self.is_chunked && !is_1_0 => Body::in_chunks(hop::private(&self.headers)),
            (_, None) if self.is_chunked && !is_1_0 => return Err(Refused::Coding),
            (_, _) => return Err(Refused::Malformed),
        };
        parts.headers = self.headers;
        Ok(Head {
            parts: Box::new(parts),
            body,
            keep_alive: !self.close && (!is_1_0 || self.keep_alive),
            expects_continue: self.expects_continue && !is_1_0,
        })
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
