//! Reads what comes, in memory that the connections of a thread share.
//!
//! Hundreds of connections with a buffer each are more than a processor's cache holds, and most of them wait. So what comes is read in
//! one place for all of them, and what a connection keeps of it is packed behind what others keep.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::LEAST_READ;

/// So much is allocated at once for what several connections keep. The last of them to let go frees it, so that one which keeps little
/// for long costs no more than a buffer of its own would.
const SHARED: usize = LEAST_READ;

/// Where what is little is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Side by side with what other connections keep.
    Together,
    /// By itself. Many parts of a body may wait for long: none of them keeps more than itself alive.
    Apart,
}

thread_local! {
    static PLACE: RefCell<Place> = RefCell::new(Place::default());
}

struct Place {
    read: Box<[u8]>,
    kept: BytesMut,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            read: vec![0; LEAST_READ].into(),
            kept: BytesMut::with_capacity(SHARED),
        }
    }
}

impl Place {
    fn poll_read(
        &mut self,
        stream: Pin<&mut impl AsyncRead>,
        input: &mut BytesMut,
        keep: Keep,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if input.is_empty() {
            // It may still hold on to where others keep something.
            *input = BytesMut::new();
        }
        let mut buffer = ReadBuf::new(&mut self.read);
        ready!(stream.poll_read(cx, &mut buffer))?;
        let read = buffer.filled();
        if read.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if input.is_empty() && keep == Keep::Together {
            // If there is no room behind what others keep it goes on at the beginning, or elsewhere.
            self.kept.extend_from_slice(read);
            *input = self.kept.split();
        } else {
            input.extend_from_slice(read);
        }
        Poll::Ready(Ok(read.len()))
    }
}

/// Reads up to `room` bytes, which are appended to `input`; returns how many, and zero at the end. As long as nothing comes it takes
/// no memory for little, which is up to [`LEAST_READ`].
pub(crate) fn poll_read_into(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
    room: usize,
    keep: Keep,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    if room > LEAST_READ {
        // What is left of a buffer is used first, for who holds a part of it holds all of it.
        if input.capacity() - input.len() < room / 4 {
            input.reserve(room);
        }
        return poll_read_buf(stream, cx, input);
    }
    PLACE.with_borrow_mut(|place| place.poll_read(stream, input, keep, cx))
}

/// Takes the first `length` bytes of `input`, and its buffer with the last that it has room for.
pub(crate) fn cut(input: &mut BytesMut, length: usize) -> Bytes {
    if length == input.capacity() {
        std::mem::take(input).freeze()
    } else {
        input.split_to(length).freeze()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn read(mut from: &[u8], input: &mut BytesMut, room: usize) -> usize {
        let cx = &mut Context::from_waker(Waker::noop());
        match poll_read_into(&mut from, input, room, Keep::Together, cx) {
            Poll::Ready(read) => read.unwrap(),
            Poll::Pending => panic!("a slice has always something to read"),
        }
    }

    #[test]
    fn what_several_connections_keep_lies_side_by_side_and_is_their_own() {
        let (mut one, mut other) = (BytesMut::new(), BytesMut::new());
        assert_eq!(read(b"hello", &mut one, LEAST_READ), 5);
        assert_eq!(read(b"world", &mut other, LEAST_READ), 5);
        assert_eq!(one.as_ptr().addr() + 5, other.as_ptr().addr());
        assert_eq!(read(b", and more", &mut one, LEAST_READ), 10);
        assert_eq!(
            (&one[..], &other[..]),
            (&b"hello, and more"[..], &b"world"[..])
        );
    }

    #[test]
    fn what_is_kept_apart_keeps_nothing_else_alive() {
        let mut input = BytesMut::new();
        let cx = &mut Context::from_waker(Waker::noop());
        let read = poll_read_into(&mut &b"hello"[..], &mut input, 10, Keep::Apart, cx);
        assert!(matches!(read, Poll::Ready(Ok(5))));
        assert!(input.capacity() < SHARED);
        assert!(input.freeze().is_unique());
    }

    #[test]
    fn more_than_one_piece_of_memory_is_used_if_need_be() {
        let part = [7; LEAST_READ];
        let kept: Vec<BytesMut> = (0..10)
            .map(|_| {
                let mut input = BytesMut::new();
                assert_eq!(read(&part, &mut input, LEAST_READ), LEAST_READ);
                input
            })
            .collect();
        assert!(kept.iter().all(|input| input[..] == part));
    }

    #[test]
    fn a_large_room_is_filled_at_once_and_the_end_is_nothing() {
        let long = vec![7; 3 * LEAST_READ];
        let mut input = BytesMut::from("x");
        assert_eq!(read(&long, &mut input, long.len()), long.len());
        assert_eq!(input.len(), 1 + long.len());
        assert_eq!(read(b"", &mut input, LEAST_READ), 0);
    }

    #[test]
    fn parts_that_trickle_in_share_a_large_buffer() {
        let mut input = BytesMut::new();
        let parts: Vec<Bytes> = (0..64)
            .map(|_| {
                read(b"x", &mut input, 128 * 1024);
                cut(&mut input, 1)
            })
            .collect();
        let places: Vec<usize> = parts.iter().map(|part| part.as_ptr().addr()).collect();
        assert!(places.is_sorted_by(|one, next| one + 1 == *next));
    }

    #[test]
    fn who_has_nothing_left_holds_on_to_nothing() {
        let (mut input, mut other) = (BytesMut::new(), BytesMut::new());
        read(b"hello", &mut input, LEAST_READ);
        read(b"world", &mut other, LEAST_READ);
        bytes::Buf::advance(&mut input, 5);
        read(b"", &mut input, LEAST_READ);
        PLACE.with_borrow_mut(|place| place.kept = BytesMut::new());
        assert!(other.freeze().is_unique());
    }

    #[test]
    fn a_buffer_goes_with_the_last_bytes_of_it_and_one_with_room_stays() {
        let mut input = BytesMut::new();
        read(b"hello, world", &mut input, LEAST_READ);
        assert_eq!(cut(&mut input, 7), "hello, ");
        assert_eq!(cut(&mut input, 5), "world");
        assert_eq!(input.capacity(), 0);
        let mut input = BytesMut::from("hello");
        assert!(cut(&mut input, 5).is_unique());
        let mut input = BytesMut::with_capacity(20);
        input.extend_from_slice(b"hello");
        assert_eq!(cut(&mut input, 5), "hello");
        assert_eq!(input.capacity(), 15);
    }
}
