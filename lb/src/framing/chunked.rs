//! Reads a chunked body (RFC 9112 7.1).

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use httparse::{EMPTY_HEADER, Status};

use super::{FramingError, take};
use crate::hop;

/// Of a chunk's size with its extensions.
const MOST_SIZE_BYTES: usize = 1024;
const MOST_TRAILER_BYTES: usize = 16 * 1024;
const MOST_TRAILERS: usize = 64;

/// What of a chunked body is still to come.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    place: Place,
    /// What `Connection` has named stays on its hop also behind the body (RFC 9110 7.6.1).
    private: Vec<HeaderName>,
}

/// Where in a chunked body the reader is.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Size,
    Data(u64),
    /// Before the end of the line after a chunk.
    DataEnd,
    Trailers,
    Done,
}

impl Chunked {
    /// Returns a body whose trailers are passed on but for the `private` ones.
    pub(super) fn new(private: Vec<HeaderName>) -> Self {
        let place = Place::default();
        Self { place, private }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.place, Place::Done)
    }

    /// Takes the next frame from `input`; `None` when it is over or more input is needed.
    pub(crate) fn next(
        &mut self,
        input: &mut BytesMut,
    ) -> Result<Option<Frame<Bytes>>, FramingError> {
        if let Some(trailers) = self.skip(input)? {
            return Ok(Some(Frame::trailers(trailers)));
        }
        let Place::Data(left) = &mut self.place else {
            return Ok(None);
        };
        let Some(data) = take(input, left) else {
            return Ok(None);
        };
        if *left == 0 {
            self.place = Place::DataEnd;
            // So that the end is known together with the last data, unless trailers are to come.
            if input.starts_with(b"\r\n0\r\n\r\n") {
                self.skip(input)?;
            }
        }
        Ok(Some(Frame::data(data)))
    }

    /// Goes on to the next data, or as far as the input goes; returns the trailers, if there are any.
    fn skip(&mut self, input: &mut BytesMut) -> Result<Option<HeaderMap>, FramingError> {
        loop {
            match self.place {
                // The parser takes a line without a digit for zero, and a bare LF in an extension.
                Place::Size if input.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) => {
                    return Err(FramingError::ChunkSize);
                }
                Place::Size => match httparse::parse_chunk_size(input) {
                    Err(_) => return Err(FramingError::ChunkSize),
                    Ok(Status::Complete((length, _)))
                        if memchr::memchr(b'\n', input) < Some(length - 1) =>
                    {
                        return Err(FramingError::ChunkSize);
                    }
                    Ok(Status::Partial) if input.len() > MOST_SIZE_BYTES => {
                        return Err(FramingError::ChunkSize);
                    }
                    Ok(Status::Partial) => return Ok(None),
                    Ok(Status::Complete((length, size))) => {
                        input.advance(length);
                        self.place = if size == 0 {
                            Place::Trailers
                        } else {
                            Place::Data(size)
                        };
                    }
                },
                Place::DataEnd if input.len() < 2 => return Ok(None),
                Place::DataEnd if input.starts_with(b"\r\n") => {
                    input.advance(2);
                    self.place = Place::Size;
                }
                Place::DataEnd => return Err(FramingError::ChunkEnd),
                Place::Trailers => {
                    let Some(trailers) = trailers(input, &self.private)? else {
                        return Ok(None);
                    };
                    self.place = Place::Done;
                    return Ok((!trailers.is_empty()).then_some(trailers));
                }
                Place::Data(_) | Place::Done => return Ok(None),
            }
        }
    }
}

/// Returns whether a line ends in LF alone: for one reader it ends there, and for another it does not (RFC 9112 2.2).
fn has_bare_lf(lines: &[u8]) -> bool {
    let mut ends = memchr::memchr_iter(b'\n', lines);
    ends.any(|end| end == 0 || lines[end - 1] != b'\r')
}

fn trailers(
    input: &mut BytesMut,
    private: &[HeaderName],
) -> Result<Option<HeaderMap>, FramingError> {
    let mut fields = [EMPTY_HEADER; MOST_TRAILERS];
    let mut trailers = HeaderMap::new();
    let length = match httparse::parse_headers(input, &mut fields) {
        // The parser takes a bare LF for the end of a line.
        Ok(Status::Complete((length, _))) if has_bare_lf(&input[..length]) => {
            return Err(FramingError::Trailers);
        }
        Ok(Status::Complete((length, fields))) => {
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes());
                let value = HeaderValue::from_bytes(field.value);
                let (Ok(name), Ok(value)) = (name, value) else {
                    return Err(FramingError::Trailers);
                };
                if hop::may_trail(&name) && !private.contains(&name) {
                    trailers.append(name, value);
                }
            }
            length
        }
        Ok(Status::Partial) if input.len() <= MOST_TRAILER_BYTES => return Ok(None),
        Ok(Status::Partial) | Err(_) => return Err(FramingError::Trailers),
    };
    input.advance(length);
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a body in pieces; returns its data, its trailers and what is left of the input.
    fn read(body: &[u8], piece: usize) -> Result<(String, Vec<String>, String), FramingError> {
        let (mut chunked, mut input) = (Chunked::default(), BytesMut::new());
        let (mut data, mut trailers) = (String::new(), Vec::new());
        for piece in body.chunks(piece) {
            input.extend_from_slice(piece);
            while let Some(frame) = chunked.next(&mut input)? {
                match frame.into_data() {
                    Ok(bytes) => data += str::from_utf8(&bytes).unwrap(),
                    Err(frame) => {
                        let map = frame.into_trailers().unwrap();
                        trailers.extend(map.keys().map(ToString::to_string));
                    }
                }
            }
        }
        assert!(chunked.is_done());
        Ok((data, trailers, String::from_utf8(input.to_vec()).unwrap()))
    }

    #[test]
    fn a_body_is_read_however_it_is_cut() {
        let body = b"4;ext=1\r\nWiki\r\nA\r\npedia in c\r\n0\r\nX-Sum: 1\r\nHost: no\r\n\r\nNEXT";
        for piece in [1, 2, 7, body.len()] {
            let (data, trailers, rest) = read(body, piece).unwrap();
            assert_eq!(data, "Wikipedia in c");
            assert_eq!(trailers, ["x-sum"]);
            assert_eq!(rest, "NEXT");
        }
    }

    #[test]
    fn the_end_is_known_with_the_last_data() {
        let mut chunked = Chunked::default();
        let mut input = BytesMut::from(&b"2\r\nhi\r\n0\r\n\r\n"[..]);
        chunked.next(&mut input).unwrap().unwrap();
        assert!(chunked.is_done() && input.is_empty());
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for body in [
            "x\r\n",
            "-1\r\nhi\r\n",
            "2\r\nhiX\r\n",
            "\r\n\r\n",
            " \r\n\r\n",
            ";a\r\n\r\n",
            "1;a\nb\r\nx\r\n",
            "1\nx\r\n",
            "11111111111111111\r\n",
            "0\r\nbad name: 1\r\n\r\n",
            "0\r\na: 1\n\r\n",
            "0\r\n\n",
        ] {
            let mut input = BytesMut::from(body);
            let mut chunked = Chunked::default();
            let outcome = loop {
                match chunked.next(&mut input) {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            outcome.unwrap_err();
        }
    }

    #[test]
    fn neither_a_size_nor_trailers_go_on_for_ever() {
        let mut input = BytesMut::from(format!("1;{}", "x".repeat(MOST_SIZE_BYTES)).as_str());
        Chunked::default().next(&mut input).unwrap_err();
        let trailer = format!("0\r\na: {}", "x".repeat(MOST_TRAILER_BYTES));
        Chunked::default()
            .next(&mut BytesMut::from(trailer.as_str()))
            .unwrap_err();
    }
}
