//! The head of an answer on its way to a client.
//!
//! What a target says in HTTP/1.1 is said to a client of HTTP/1.1 in the same words, but for what concerned the connection to the
//! target: nothing is made of these lines but a list of where they are.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, response};
use hyper::ext::ReasonPhrase;

/// The head of an answer. It goes from hand to hand, so that it is mostly boxed.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    /// Where it is not the usual one of the status.
    pub(crate) reason: Option<ReasonPhrase>,
    pub(crate) headers: Headers,
}

/// Who gives an answer that no target has given.
pub(crate) const SERVER_NAME: HeaderValue = HeaderValue::from_static("roadstead");

impl ResponseHead {
    /// Returns it with its headers in a map, as HTTP/2 sends them.
    pub(crate) fn into_parts(self) -> response::Parts {
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = self.status;
        parts.headers = self.headers.into_map();
        parts
    }
}

impl From<response::Parts> for ResponseHead {
    fn from(mut parts: response::Parts) -> Self {
        // Equal ones, or it would have been refused; HTTP/2 may have several (RFC 9110 8.6).
        if parts.headers.get_all(CONTENT_LENGTH).iter().count() > 1
            && let Some(length) = parts.headers.remove(CONTENT_LENGTH)
        {
            parts.headers.insert(CONTENT_LENGTH, length);
        }
        Self {
            status: parts.status,
            reason: parts.extensions.remove(),
            headers: Headers::Map(parts.headers),
        }
    }
}

/// Headers as they were read in HTTP/1.1, or as they were made.
#[derive(Debug)]
pub(crate) enum Headers {
    Lines(Lines),
    Map(HeaderMap),
}

impl Headers {
    pub(crate) fn append(&mut self, name: HeaderName, value: HeaderValue) {
        match self {
            Self::Lines(lines) => lines.added.push((name, value)),
            Self::Map(map) => drop(map.append(name, value)),
        }
    }

    /// Shows all of them, with the names in any case.
    pub(crate) fn each(&self, mut show: impl FnMut(&[u8], &[u8])) {
        match self {
            Self::Lines(lines) => {
                for (name, value) in lines.read() {
                    show(name, value);
                }
                for (name, value) in &lines.added {
                    show(name.as_str().as_bytes(), value.as_bytes());
                }
            }
            Self::Map(map) => {
                for (name, value) in map {
                    show(name.as_str().as_bytes(), value.as_bytes());
                }
            }
        }
    }

    /// Returns whether they say how long the body is.
    pub(crate) fn have_a_length(&self) -> bool {
        match self {
            Self::Lines(lines) => lines.has_length,
            Self::Map(map) => map.contains_key(CONTENT_LENGTH),
        }
    }

    pub(crate) fn into_map(self) -> HeaderMap {
        match self {
            Self::Map(map) => map,
            Self::Lines(lines) => {
                let mut map = HeaderMap::with_capacity(lines.lines.len() + lines.added.len());
                for (name, value) in lines.read() {
                    let name = HeaderName::from_bytes(name);
                    let value = HeaderValue::from_maybe_shared(lines.head.slice_ref(value));
                    // The parser has let through nothing else.
                    if let (Ok(name), Ok(value)) = (name, value) {
                        map.append(name, value);
                    }
                }
                map.extend(lines.added);
                map
            }
        }
    }
}

/// The lines of a head that are passed on, where they were read.
#[derive(Debug)]
pub(crate) struct Lines {
    head: Bytes,
    lines: Vec<Line>,
    has_length: bool,
    /// What was not read there.
    added: Vec<(HeaderName, HeaderValue)>,
}

/// Where a line is in its head.
#[derive(Debug, Clone, Copy)]
struct Line {
    name: (usize, usize),
    value: (usize, usize),
}

impl Lines {
    /// Returns no lines of that head, with room for so many.
    pub(crate) fn of(head: Bytes, count: usize) -> Self {
        Self {
            head,
            lines: Vec::with_capacity(count),
            has_length: false,
            added: Vec::new(),
        }
    }

    /// Adds a line; both parts must be of the head, for they are found by where they are.
    pub(crate) fn push(&mut self, name: &str, value: &[u8]) {
        self.has_length |= name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str());
        let place = |part: &[u8]| {
            let start = part.as_ptr().addr() - self.head.as_ptr().addr();
            (start, start + part.len())
        };
        self.lines.push(Line {
            name: place(name.as_bytes()),
            value: place(value),
        });
    }

    /// Adds a length that was read as a list of equal ones.
    pub(crate) fn push_length(&mut self, length: u64) {
        self.has_length = true;
        self.added.push((CONTENT_LENGTH, length.into()));
    }

    /// Removes all lines of that name.
    pub(crate) fn remove(&mut self, name: &HeaderName) {
        let head = &self.head;
        self.lines
            .retain(|line| !part(head, line.name).eq_ignore_ascii_case(name.as_str().as_bytes()));
        self.added.retain(|(added, _)| added != name);
        self.has_length &= *name != CONTENT_LENGTH;
    }

    fn read(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines = self.lines.iter();
        lines.map(|line| (part(&self.head, line.name), part(&self.head, line.value)))
    }
}

/// Returns the bytes from the one place to the other.
fn part(head: &[u8], (start, end): (usize, usize)) -> &[u8] {
    &head[start..end]
}
