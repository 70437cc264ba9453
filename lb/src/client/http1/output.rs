//! What is written to a client and not sent.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

use super::answer::Framing;
use crate::framing::{self, JOINED};

/// As much as this is sent before more is written.
const FULL: usize = 16 * 1024;

thread_local! {
    /// What the last answer of this thread was written in, for the next one: it is still in the processor's cache.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Heads and small parts of bodies, side by side; behind them there may be a large part, which is not copied.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    sent: usize,
    data: Bytes,
    behind: &'static [u8],
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.data.is_empty() && self.behind.is_empty()
    }

    /// Returns whether another part may be written before this is sent.
    pub(super) fn has_room(&self) -> bool {
        self.data.is_empty() && self.behind.is_empty() && self.bytes.len() < FULL
    }

    /// Returns where heads are written; only if it has room.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take();
        }
        &mut self.bytes
    }

    /// Writes a part of a body, and with the last one its end; only if it has room.
    pub(super) fn push(&mut self, data: Bytes, framing: Framing, is_last: bool) {
        let is_chunked = framing == Framing::Chunked;
        // As a chunk, it would be the end.
        let is_chunk = is_chunked && !data.is_empty();
        if is_chunk {
            framing::begin_chunk(self.bytes(), data.len());
        }
        let behind: &[u8] = match (is_chunk, is_chunked && is_last) {
            (true, true) => b"\r\n0\r\n\r\n",
            (true, false) => b"\r\n",
            (false, true) => b"0\r\n\r\n",
            (false, false) => b"",
        };
        if data.is_empty() && behind.is_empty() {
            return;
        }
        if self.bytes.len() - self.sent + data.len() <= JOINED {
            let bytes = self.bytes();
            bytes.extend_from_slice(&data);
            bytes.extend_from_slice(behind);
        } else {
            self.data = data;
            self.behind = behind;
        }
    }

    /// Writes some of it to `stream`; returns how much.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let first = &self.bytes[self.sent..];
        let stream = Pin::new(stream);
        let polled = match (first, &*self.data, self.behind) {
            (only, [], []) | ([], only, []) => stream.poll_write(cx, only),
            (first, data, behind) => {
                let slices = [first, data, behind].map(IoSlice::new);
                stream.poll_write_vectored(cx, &slices)
            }
        };
        let written = ready!(polled)?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, mut written: usize) {
        let first = written.min(self.bytes.len() - self.sent);
        self.sent += first;
        written -= first;
        if first > 0 && self.sent == self.bytes.len() {
            self.sent = 0;
            self.bytes.clear();
            SPARE.set(std::mem::take(&mut self.bytes));
        }
        let data = written.min(self.data.len());
        self.data.advance(data);
        self.behind = &self.behind[written - data..];
        if self.data.is_empty() {
            // What is empty may still hold on to a buffer.
            self.data = Bytes::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(output: &Output) -> Vec<u8> {
        [&output.bytes[output.sent..], &output.data, output.behind].concat()
    }

    fn chunked(length: usize) -> (Output, Vec<u8>) {
        let mut output = Output::default();
        output.bytes().extend_from_slice(b"head");
        output.push(vec![b'x'; length].into(), Framing::Chunked, true);
        let body = "x".repeat(length);
        let expected = format!("head{length:x}\r\n{body}\r\n0\r\n\r\n");
        (output, expected.into_bytes())
    }

    #[test]
    fn what_was_sent_is_dropped_wherever_it_ends() {
        for length in [1, JOINED - 4, JOINED + 1] {
            let whole = chunked(length).1.len();
            for sent in [0, 1, 4, 5, 10, whole - 8, whole - 3, whole] {
                let (mut output, expected) = chunked(length);
                output.advance(sent);
                assert_eq!(written(&output), &expected[sent..], "{sent} of {length}");
                assert_eq!(output.is_empty(), sent == whole);
            }
        }
    }

    #[test]
    fn what_one_answer_was_written_in_is_there_for_the_next() {
        let (mut output, expected) = chunked(JOINED + 1);
        let place = output.bytes.as_ptr();
        output.advance(4);
        output.advance(expected.len() - 4);
        let (next, _) = chunked(1);
        assert_eq!(next.bytes.as_ptr(), place);
    }

    #[test]
    fn an_empty_part_is_not_the_end_and_takes_no_room() {
        let (mut before, expected) = chunked(1);
        before.advance(expected.len());
        let mut output = Output::default();
        output.push(Bytes::new(), Framing::Chunked, false);
        output.push(Bytes::new(), Framing::Length, true);
        assert!(output.is_empty() && output.bytes.capacity() == 0);
        output.push(Bytes::new(), Framing::Chunked, true);
        assert_eq!(written(&output), b"0\r\n\r\n");
    }

    #[test]
    fn a_large_part_is_sent_before_more_is_written() {
        let mut output = Output::default();
        output.push(vec![0; JOINED + 1].into(), Framing::Length, false);
        assert!(!output.has_room());
        output.advance(JOINED + 1);
        assert!(output.has_room() && output.is_empty());
    }
}
