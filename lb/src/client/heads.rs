//! Refuses heads of HTTP/1.1 that hyper would take in one of several ways.
//!
//! A line that ends in LF alone may end there for a reader, or not (RFC 9112 2.2), and of a length and a coding of the body
//! one reader believes the one and another the other (6.3). hyper settles both in silence; but who stands before us may have
//! seen another request. So the LF at which it is found out becomes a NUL before hyper sees it, which is nothing in any head,
//! and is answered with 400.
//!
//! Every byte of a connection passes here, and where a head begins is known from the bytes alone: behind a body of known
//! length, or behind a head without a body. A body in chunks is not followed; the next head is looked at when the
//! request is over and nothing has come behind it.

use memchr::memchr;

const LENGTH: &[u8] = b"content-length:";
const CODING: &[u8] = b"transfer-encoding:";
const UPGRADE: &[u8] = b"upgrade:";
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r";
/// Of a line, what it takes to know these, and a length.
const LONGEST: usize = 48;

/// How far a connection has come.
#[derive(Debug)]
pub(crate) struct Heads {
    place: Place,
    /// Bytes of the line that has not ended yet, and the first of them.
    unended: usize,
    first: [u8; LONGEST],
    ends_in_cr: bool,
    /// A line that is not empty has come: the next empty one is the end.
    begun: bool,
    length: Option<u64>,
    has_coding: bool,
    is_open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    /// So much of a body is still to come.
    Body(u64),
    /// A body in chunks, or whatever an upgrade makes of it.
    Unknown,
    /// Nothing is looked at any more.
    Over,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            place: Place::Head,
            unended: 0,
            first: [0; LONGEST],
            ends_in_cr: false,
            begun: false,
            length: None,
            has_coding: false,
            is_open: false,
        }
    }
}

impl Heads {
    /// Looks at what has come. `waits`: nothing of a request has come since the last one was over; `whole`: the body of the
    /// request that is under way has come to its end.
    pub(crate) fn check(&mut self, mut bytes: &mut [u8], waits: bool, whole: bool) {
        if self.place == Place::Unknown && waits {
            *self = Self::default();
        } else if self.place == Place::Unknown && whole {
            // It is of the next request, and where that begins is not known.
            self.place = Place::Over;
        }
        while !bytes.is_empty() {
            let taken = match self.place {
                Place::Head => self.head(bytes),
                Place::Body(left) => {
                    let taken =
                        usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    self.place = match left - taken as u64 {
                        0 => Place::Head,
                        left => Place::Body(left),
                    };
                    taken
                }
                Place::Unknown | Place::Over => return,
            };
            bytes = &mut bytes[taken..];
        }
    }

    /// Takes what is of the head; returns how much that is.
    fn head(&mut self, bytes: &mut [u8]) -> usize {
        let mut start = 0;
        while let Some(length) = memchr(b'\n', &bytes[start..]) {
            let end = start + length;
            if !self.takes(&bytes[start..end]) {
                bytes[end] = 0;
                self.place = Place::Over;
                return bytes.len();
            }
            start = end + 1;
            if self.place != Place::Head {
                return start;
            }
        }
        self.keep(&bytes[start..]);
        bytes.len()
    }

    /// Takes the rest of a line, up to its LF; returns whether it can be read in one way only.
    fn takes(&mut self, rest: &[u8]) -> bool {
        let after_cr = rest.last().map_or(self.ends_in_cr, |last| *last == b'\r');
        let is_empty = self.unended + rest.len() == 1;
        if self.unended == 0 {
            self.note(rest);
        } else {
            let whole = self.unended + rest.len();
            self.keep(rest);
            let first = self.first;
            self.note(&first[..LONGEST.min(whole)]);
        }
        let fits = after_cr && !(self.length.is_some() && self.has_coding);
        self.unended = 0;
        self.ends_in_cr = false;
        if is_empty && self.begun && fits {
            let place = match self.length {
                _ if self.is_open || self.has_coding => Place::Unknown,
                Some(length) if length > 0 => Place::Body(length),
                Some(_) | None => Place::Head,
            };
            *self = Self {
                place,
                ..Self::default()
            };
        }
        self.begun |= !is_empty;
        fits
    }

    /// Notes what a line says of what follows.
    fn note(&mut self, line: &[u8]) {
        let begins_with = |name: &[u8]| {
            let first = line.get(..name.len());
            first.is_some_and(|first| first.eq_ignore_ascii_case(name))
        };
        if begins_with(LENGTH) {
            let digits = line[LENGTH.len()..].trim_ascii();
            let length = str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok());
            // What is no number is refused by hyper.
            self.length = Some(length.unwrap_or(0));
        }
        self.has_coding |= begins_with(CODING);
        self.is_open |= begins_with(UPGRADE) || (!self.begun && begins_with(HTTP_2));
    }

    /// Remembers what is needed of a line that has not ended.
    fn keep(&mut self, part: &[u8]) {
        let known = self.unended.min(LONGEST);
        for (into, byte) in self.first[known..].iter_mut().zip(part) {
            *into = *byte;
        }
        self.unended += part.len();
        if let Some(last) = part.last() {
            self.ends_in_cr = *last == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Returns what becomes of a head that comes in two parts, wherever it is cut.
    fn checked(head: &[u8]) -> Vec<u8> {
        let mut results = (0..=head.len()).map(|cut| {
            let mut heads = Heads::default();
            let mut bytes = head.to_vec();
            let (first, second) = bytes.split_at_mut(cut);
            heads.check(first, false, false);
            heads.check(second, false, false);
            bytes
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first));
        first
    }

    #[test]
    fn a_head_whose_lines_end_in_crlf_stays_as_it_is_and_so_does_what_follows() {
        for head in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length:16 \r\n\r\na body\nof lines\n",
        ] {
            assert_eq!(checked(head.as_bytes()), head.as_bytes());
        }
    }

    #[test]
    fn an_lf_alone_is_made_nothing() {
        for (head, refused) in [
            (
                "GET / HTTP/1.1\nHost: a\r\n\r\n",
                "GET / HTTP/1.1\0Host: a\r\n\r\n",
            ),
            (
                "GET / HTTP/1.1\r\nA: b\n\nrest",
                "GET / HTTP/1.1\r\nA: b\0\nrest",
            ),
            ("\nGET / HTTP/1.1\r\n\r\n", "\0GET / HTTP/1.1\r\n\r\n"),
        ] {
            assert_eq!(checked(head.as_bytes()), refused.as_bytes());
        }
    }

    #[test]
    fn a_length_and_a_coding_are_one_too_many() {
        let length = "POST / HTTP/1.1\r\nContent-Length: 4\r\n";
        let both = format!("{length}TRANSFER-encoding: chunked\r\n\r\n");
        let refused = format!("{length}TRANSFER-encoding: chunked\r\0\r\n");
        assert_eq!(checked(both.as_bytes()), refused.as_bytes());
        let other = format!("{length}X-Transfer-Encoding: chunked\r\n\r\n");
        assert_eq!(checked(other.as_bytes()), other.as_bytes());
    }

    #[test]
    fn a_body_is_left_alone_and_the_head_behind_it_is_looked_at() {
        let post = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\n";
        let bad = "GET / HTTP/1.1\nHost: a\r\n\r\n";
        let refused = bad.replacen('\n', "\0", 1);
        for before in [post, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let (both, after) = (format!("{before}{bad}"), format!("{before}{refused}"));
            assert_eq!(checked(both.as_bytes()), after.as_bytes());
        }
    }

    #[test]
    fn behind_a_body_in_chunks_the_next_head_is_looked_at_if_nothing_of_it_has_come() {
        let post = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n";
        let bad = b"GET /\n";
        for (whole, waits, refused) in [
            (false, true, true),
            (true, false, false),
            (false, false, false),
        ] {
            let mut heads = Heads::default();
            let (mut first, mut second) = (post.to_vec(), bad.to_vec());
            heads.check(&mut first, true, false);
            assert_eq!(first, post);
            heads.check(&mut second, waits, whole);
            assert_eq!(second != bad, refused);
        }
    }

    #[test]
    fn what_speaks_another_protocol_is_left_alone() {
        for begin in [
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET /chat HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        ] {
            let bytes = format!("{begin}\n\0\nframes");
            assert_eq!(checked(bytes.as_bytes()), bytes.as_bytes());
        }
    }

    proptest! {
        /// As `checked` asserts, wherever it is cut.
        #[test]
        fn what_becomes_of_bytes_does_not_depend_on_how_they_are_cut(
            lines in vec("(GET / HTTP/1.1|content-length: 1|Transfer-Encoding: a|x|\\PC{0,5})?(\r\n|\n|\r|)", 0..6)
        ) {
            let bytes = lines.concat().into_bytes();
            let after = checked(&bytes);
            let same = |(before, after): &(&u8, &u8)| before == after || (**before == b'\n' && **after == 0);
            prop_assert!(bytes.iter().zip(&after).all(|pair| same(&pair)));
        }
    }
}
