//! The format of a log: a line each, `MILLISECONDS STREAM TEXT`.
//!
//! Text is what the container wrote up to a newline. A line is bounded: what is longer becomes several.

use std::io::Write as _;

/// The longest text of a line, in bytes (as Docker's drivers split).
const LONGEST: usize = 16 << 10;

/// Where a container wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Milliseconds since the epoch.
    pub(crate) timestamp: i64,
    pub(crate) stream: Stream,
    pub(crate) text: String,
}

impl Line {
    /// Reads a line as it was written; `None` for what is damaged.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut parts = text.trim_end_matches('\n').splitn(3, ' ');
        let timestamp = parts.next()?.parse().ok()?;
        let stream = match parts.next()? {
            "stdout" => Stream::Stdout,
            "stderr" => Stream::Stderr,
            _ => return None,
        };
        Some(Self {
            timestamp,
            stream,
            text: parts.next()?.to_owned(),
        })
    }
}

/// Makes lines of what arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    partial: Vec<u8>,
}

impl Splitter {
    /// Takes a piece, and appends the lines that it completes to `out`.
    pub(crate) fn push(&mut self, piece: &[u8], now: i64, stream: Stream, out: &mut Vec<u8>) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (text, complete) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let mut rest = text;
            while self.partial.len() + rest.len() > LONGEST {
                let (fits, more) = rest.split_at(LONGEST - self.partial.len());
                self.partial.extend_from_slice(fits);
                self.emit(now, stream, out);
                rest = more;
            }
            self.partial.extend_from_slice(rest);
            if complete {
                self.emit(now, stream, out);
            }
        }
    }

    /// Appends a last line that has no end.
    pub(crate) fn end(&mut self, now: i64, stream: Stream, out: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            self.emit(now, stream, out);
        }
    }

    fn emit(&mut self, now: i64, stream: Stream, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{now} {} ", stream.name());
        out.append(&mut self.partial);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> String {
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        for piece in pieces {
            splitter.push(piece, 7, Stream::Stdout, &mut out);
        }
        splitter.end(7, Stream::Stdout, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        assert_eq!(
            split(&[b"a", b"b\nc", b"\n\nd"]),
            "7 stdout ab\n7 stdout c\n7 stdout \n7 stdout d\n"
        );
    }

    #[test]
    fn a_line_that_is_too_long_becomes_several() {
        let text = vec![b'x'; 2 * LONGEST + 1];
        let lines: Vec<usize> = split(&[&text, b"\n"]).lines().map(str::len).collect();
        let head = "7 stdout ".len();
        assert_eq!(lines, [head + LONGEST, head + LONGEST, head + 1]);
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let line = Line::parse(b"12 stderr two words \n").unwrap();
        assert_eq!((line.timestamp, line.stream), (12, Stream::Stderr));
        assert_eq!(line.text, "two words ");
        assert_eq!(Line::parse(b"garbage\n"), None);
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        let line = Line::parse(b"1 stdout \xff\n").unwrap();
        assert_eq!(line.text, "\u{fffd}");
    }
}
