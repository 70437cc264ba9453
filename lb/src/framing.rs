//! How the body of a message of HTTP/1.1 is cut out of a connection (RFC 9112 6), in both directions.

mod chunked;
mod encode;
#[cfg(test)]
mod fuzz;
mod read;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, StatusCode};
use http_body::Frame;

use chunked::Chunked;
pub(crate) use encode::{begin_chunk, last_chunk, line};
pub(crate) use read::{Keep, cut, poll_read_into};

/// The body of a message ends nowhere, or in more than one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FramingError {
    #[error("the length of the body cannot be read, or there are two")]
    Length,
    #[error("the size of a chunk cannot be read")]
    ChunkSize,
    #[error("a chunk is longer than its size")]
    ChunkEnd,
    #[error("the trailers cannot be read")]
    Trailers,
}

/// What of a body is still to come.
#[derive(Debug)]
pub(crate) enum Body {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Body {
    pub(crate) const NONE: Self = Self::Length(0);

    /// Returns a body in chunks, of whose trailers the `private` ones are not passed on.
    pub(crate) fn in_chunks(private: Vec<HeaderName>) -> Self {
        Self::Chunked(Chunked::new(private))
    }

    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
            Self::UntilClose => false,
        }
    }

    /// Returns how much is still to come, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Takes the next frame from `input`; `None` when it is complete or more input is needed.
    pub(crate) fn next(
        &mut self,
        input: &mut BytesMut,
    ) -> Result<Option<Frame<Bytes>>, FramingError> {
        match self {
            Self::Length(left) => Ok(take(input, left).map(Frame::data)),
            Self::Chunked(chunked) => chunked.next(input),
            Self::UntilClose => {
                let mut unbounded = u64::MAX;
                Ok(take(input, &mut unbounded).map(Frame::data))
            }
        }
    }
}

/// Returns whether an answer of that status has no body, whatever its head says (RFC 9112 6.3).
pub(crate) fn has_no_body(status: StatusCode) -> bool {
    status.is_informational()
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

/// Reads one length (RFC 9110 8.6).
pub(crate) fn length(digits: &[u8]) -> Result<u64, FramingError> {
    let digits = str::from_utf8(digits).map_err(|_| FramingError::Length)?;
    // A sign would be read too.
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(FramingError::Length);
    }
    digits.parse().map_err(|_| FramingError::Length)
}

/// Takes what there is of the `left` bytes that are to come.
fn take(input: &mut BytesMut, left: &mut u64) -> Option<Bytes> {
    let length = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    if length == 0 {
        return None;
    }
    *left -= length as u64;
    Some(cut(input, length))
}

/// What is shorter is copied together and written by one `send`: its way through the kernel is shorter than `writev`'s.
pub(crate) const JOINED: usize = 2048;

/// How much is read at once: enough for most messages, and more for large ones.
pub(crate) const LEAST_READ: usize = 8 * 1024;
const MOST_READ: usize = 128 * 1024;

/// How much to read next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appetite(usize);

impl Default for Appetite {
    fn default() -> Self {
        Self(LEAST_READ)
    }
}

impl Appetite {
    /// Returns the appetite for a message that is about as long as the last one was, in bytes.
    pub(crate) fn after(last: usize) -> Self {
        Self(last.clamp(LEAST_READ, MOST_READ).next_power_of_two())
    }

    /// Returns how much to read of what has `left` bytes to come, if that is known: one more, for a read that does not fill its room has
    /// found all that there is, and the runtime knows that without another one.
    pub(crate) fn room(self, left: Option<u64>) -> usize {
        let left = left.filter(|left| *left > 0);
        left.map_or(self.0, |left| {
            usize::try_from(left).map_or(MOST_READ, |left| {
                left.saturating_add(1).clamp(LEAST_READ, MOST_READ)
            })
        })
    }

    /// So much of `room` was read; what fills it may have more to come.
    pub(crate) fn has_read(&mut self, read: usize, room: usize) {
        if read >= room {
            self.0 = (2 * room).min(MOST_READ);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_has_room_for_one_byte_more_than_is_to_come() {
        let appetite = Appetite::default();
        assert_eq!(appetite.room(None), LEAST_READ);
        assert_eq!(appetite.room(Some(0)), LEAST_READ);
        assert_eq!(appetite.room(Some(100_000)), 100_001);
        assert_eq!(appetite.room(Some(u64::MAX)), MOST_READ);
    }

    #[test]
    fn the_next_message_is_expected_to_be_as_long_as_the_last() {
        for (last, room) in [
            (0, LEAST_READ),
            (LEAST_READ + 1, 2 * LEAST_READ),
            (100_000, MOST_READ),
            (usize::MAX, MOST_READ),
        ] {
            assert_eq!(Appetite::after(last).room(None), room, "{last}");
        }
    }
}
