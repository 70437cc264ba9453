//! Refuses heads of HTTP/1.1 that hyper would take in one of several ways.
//!
//! A line that ends in LF alone may end there for a reader, or not (RFC 9112 2.2), and of a length and a coding of the body
//! one reader believes the one and another the other (6.3). hyper settles both in silence; but who stands before us may have
//! seen another request. So the LF at which it is found out becomes a NUL before hyper sees it, which is nothing in any head,
//! and is answered with 400.
//!
//! Every byte of a connection passes here, and where a head begins is known from the bytes alone. Behind a request to upgrade
//! that is only so if nothing comes before it is answered; otherwise the rest of the connection is not looked at.

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
    /// The line with the size of a chunk.
    Size,
    /// So much of a chunk, and of the line's end behind it.
    Chunk(u64),
    Trailers,
    /// Whatever an upgrade makes of it.
    Unknown,
    /// Nothing is looked at any more.
    Over,
}

impl Default for Heads {
    fn default() -> Self {
        Self::at(Place::Head)
    }
}

impl Heads {
    fn at(place: Place) -> Self {
        Self {
            place,
            unended: 0,
            first: [0; LONGEST],
            ends_in_cr: false,
            begun: false,
            length: None,
            has_coding: false,
            is_open: false,
        }
    }

    /// Looks at what has come. `waits`: nothing of a request has come since the last one was over.
    pub(crate) fn check(&mut self, mut bytes: &mut [u8], waits: bool) {
        if self.place == Place::Unknown && waits {
            *self = Self::default();
        }
        while !bytes.is_empty() {
            let taken = match self.place {
                Place::Head | Place::Size | Place::Trailers => self.lines(bytes),
                Place::Body(left) => {
                    let (taken, left) = skip(left, bytes);
                    self.place = match left {
                        0 => Place::Head,
                        left => Place::Body(left),
                    };
                    taken
                }
                Place::Chunk(left) => {
                    let (taken, left) = skip(left, bytes);
                    self.place = match left {
                        0 => Place::Size,
                        left => Place::Chunk(left),
                    };
                    taken
                }
                Place::Unknown | Place::Over => {
                    self.place = Place::Over;
                    return;
                }
            };
            bytes = &mut bytes[taken..];
        }
    }

    /// Takes lines for as long as they are of one kind; returns how much that is.
    fn lines(&mut self, bytes: &mut [u8]) -> usize {
        let kind = self.place;
        let mut start = 0;
        while let Some(length) = memchr(b'\n', &bytes[start..]) {
            let end = start + length;
            if !self.takes(&bytes[start..end]) {
                bytes[end] = 0;
                self.place = Place::Over;
                return bytes.len();
            }
            start = end + 1;
            if self.place != kind {
                return start;
            }
        }
        self.keep(&bytes[start..]);
        bytes.len()
    }

    /// Takes the rest of a line, up to its LF; returns whether it can be read in one way only.
    fn takes(&mut self, rest: &[u8]) -> bool {
        let after_cr = rest.last().map_or(self.ends_in_cr, |last| *last == b'\r');
        let whole = self.unended + rest.len();
        self.keep(rest);
        let first = self.first;
        let line = &first[..LONGEST.min(whole)];
        self.unended = 0;
        self.ends_in_cr = false;
        after_cr && self.follows(line, whole)
    }

    /// Goes on behind a line of that length, of which this is the beginning; returns whether it can be read in one way only.
    fn follows(&mut self, line: &[u8], whole: usize) -> bool {
        // But for its CR.
        let is_empty = whole == 1;
        match self.place {
            Place::Size => match size(line) {
                Some(0) => self.place = Place::Trailers,
                Some(size) => self.place = Place::Chunk(size.saturating_add(2)),
                None => return false,
            },
            Place::Trailers if is_empty => *self = Self::default(),
            Place::Head if is_empty && self.begun => *self = Self::at(self.behind()),
            Place::Head => {
                let is_length = self.note(line);
                self.begun |= !is_empty;
                // A length that is cut here would be another one than hyper reads.
                let is_cut = is_length && whole > LONGEST;
                let is_both = self.length.is_some() && self.has_coding;
                return !is_cut && !is_both;
            }
            Place::Trailers | Place::Body(_) | Place::Chunk(_) | Place::Unknown | Place::Over => {}
        }
        true
    }

    /// Returns what comes behind the head.
    fn behind(&self) -> Place {
        match self.length {
            _ if self.is_open => Place::Unknown,
            _ if self.has_coding => Place::Size,
            Some(length) if length > 0 => Place::Body(length),
            Some(_) | None => Place::Head,
        }
    }

    /// Notes what a line says of what follows; returns whether it is a length.
    fn note(&mut self, line: &[u8]) -> bool {
        let begins_with = |name: &[u8]| {
            let first = line.get(..name.len());
            first.is_some_and(|first| first.eq_ignore_ascii_case(name))
        };
        let is_length = begins_with(LENGTH);
        if is_length {
            let digits = line[LENGTH.len()..].trim_ascii();
            let length = str::from_utf8(digits).ok();
            // What is no number is refused by hyper.
            let length = length.and_then(|digits| digits.parse().ok());
            self.length = Some(length.unwrap_or(0));
        }
        self.has_coding |= begins_with(CODING);
        self.is_open |= begins_with(UPGRADE) || (!self.begun && begins_with(HTTP_2));
        is_length
    }

    /// Remembers what is needed of a line that has not ended.
    fn keep(&mut self, part: &[u8]) {
        let known = self.unended.min(LONGEST);
        let kept = part.len().min(LONGEST - known);
        self.first[known..known + kept].copy_from_slice(&part[..kept]);
        self.unended += part.len();
        if let Some(last) = part.last() {
            self.ends_in_cr = *last == b'\r';
        }
    }
}

/// Returns how much of what has come is of the `left` bytes, and how many are left then.
fn skip(left: u64, bytes: &[u8]) -> (usize, u64) {
    let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
    (taken, left - taken as u64)
}

/// Returns the size of a chunk (RFC 9112 7.1); `None` for what hyper refuses, or what is too long to tell.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let digits = &line[..digits.count()];
    if digits.len() == LONGEST {
        return None;
    }
    let digits = str::from_utf8(digits).ok()?;
    u64::from_str_radix(digits, 16).ok()
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
            heads.check(first, false);
            heads.check(second, false);
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
    fn a_body_in_chunks_is_followed_and_the_head_behind_it_is_looked_at() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let bad = "GET / HTTP/1.1\nHost: a\r\n\r\n";
        let refused = bad.replacen('\n', "\0", 1);
        for body in [
            "3\r\n\na\n\r\n0\r\n\r\n",
            "0a;b=c\r\n0123456789\r\n000\r\nX-Sum: 7\r\n\r\n",
        ] {
            let both = format!("{chunked}{body}{bad}");
            let after = format!("{chunked}{body}{refused}");
            assert_eq!(checked(both.as_bytes()), after.as_bytes());
        }
    }

    #[test]
    fn a_length_that_is_longer_than_any_is_refused() {
        let spaces = " ".repeat(60);
        let padded = format!("POST / HTTP/1.1\r\nContent-Length: {spaces}5\r\n\r\n");
        let refused = padded.replacen("5\r\n", "5\r\0", 1);
        assert_eq!(checked(padded.as_bytes()), refused.as_bytes());
    }

    #[test]
    fn behind_an_upgrade_the_next_head_is_looked_at_if_nothing_came_before_the_answer() {
        let upgrade = b"GET / HTTP/1.1\r\nUpgrade: a\r\n\r\n";
        for (waits, refused) in [(true, true), (false, false)] {
            let mut heads = Heads::default();
            let (mut first, mut second) = (upgrade.to_vec(), b"GET /\n".to_vec());
            heads.check(&mut first, true);
            heads.check(&mut second, waits);
            assert_eq!(second == b"GET /\0", refused);
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
