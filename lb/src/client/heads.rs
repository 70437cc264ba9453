//! Refuses heads of HTTP/1.1 that hyper would take in one of several ways.
//!
//! A line that ends in LF alone may end there for a reader, or not (RFC 9112 2.2), and of a length and a coding of the body
//! one reader believes the one and another the other (6.3). hyper settles both in silence; but who stands before us may have
//! seen another request. So the LF at which it is found out becomes a NUL before hyper sees it, which is nothing in any head,
//! and is answered with 400. A head that comes together with the request before it is not looked at: targets get heads
//! that we have written ourselves.

use memchr::memchr;

const LENGTH: &[u8] = b"content-length:";
const CODING: &[u8] = b"transfer-encoding:";
const LONGEST: usize = CODING.len();

/// How far a head has come.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// Bytes of the line that has not ended yet, and the first of them.
    unended: usize,
    first: [u8; LONGEST],
    ends_in_cr: bool,
    /// A line that is not empty has come: the next empty one is the end.
    begun: bool,
    ended: bool,
    has_length: bool,
    has_coding: bool,
}

impl Heads {
    /// The next bytes are those of another head.
    pub(crate) fn begin(&mut self) {
        *self = Self::default();
    }

    /// Looks at what has come, to the end of the head.
    pub(crate) fn check(&mut self, bytes: &mut [u8]) {
        let mut start = 0;
        while !self.ended
            && let Some(length) = memchr(b'\n', &bytes[start..])
        {
            let end = start + length;
            if !self.takes(&bytes[start..end]) {
                bytes[end] = 0;
                self.ended = true;
                return;
            }
            start = end + 1;
        }
        self.keep(&bytes[start..]);
    }

    /// Takes the rest of a line, up to its LF; returns whether it can be read in one way only.
    fn takes(&mut self, rest: &[u8]) -> bool {
        let after_cr = rest.last().map_or(self.ends_in_cr, |last| *last == b'\r');
        let is_empty = self.unended + rest.len() == 1;
        if self.unended == 0 {
            self.note(rest);
        } else {
            let known = self.unended;
            self.keep(rest);
            let first = self.first;
            self.note(&first[..LONGEST.min(known + rest.len())]);
        }
        self.ended = is_empty && self.begun;
        self.begun |= !is_empty;
        self.unended = 0;
        self.ends_in_cr = false;
        after_cr && !(self.has_length && self.has_coding)
    }

    /// Notes what a line says of the body.
    fn note(&mut self, line: &[u8]) {
        let begins_with = |name: &[u8]| {
            let first = line.get(..name.len());
            first.is_some_and(|first| first.eq_ignore_ascii_case(name))
        };
        self.has_length |= begins_with(LENGTH);
        self.has_coding |= begins_with(CODING);
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
            heads.check(first);
            heads.check(second);
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
            "POST / HTTP/1.1\r\nHost: a\r\n\r\na body\nof lines\n",
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
    fn each_head_is_looked_at() {
        let mut heads = Heads::default();
        heads.check(&mut b"GET / HTTP/1.1\r\n\r\n".to_vec());
        let mut second = b"GET /\n".to_vec();
        heads.check(&mut second);
        assert_eq!(second, b"GET /\n", "this would be a body");
        heads.begin();
        heads.check(&mut second);
        assert_eq!(second, b"GET /\0");
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
