//! One request of the corpus.

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It never reaches a target, and its connection ends.
    Refused,
    /// It is refused when its head has been passed on already: its target sees it break off.
    BrokenOff,
    /// So it is when its client hangs up before its end.
    CutShort,
    /// It is odd, and can be read in one way only.
    Accepted,
}

use Verdict::{Accepted, BrokenOff, CutShort, Refused};

/// One request, what it tries, and what becomes of it.
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
    head: &'static str,
    body: &'static str,
}

/// What stands for HIDDEN.
pub(crate) const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n";

/// Returns the path of an attempt. What breaks off is known by its own.
pub(crate) fn path_of(verdict: Verdict) -> &'static str {
    match verdict {
        BrokenOff | CutShort => "/broken",
        Refused | Accepted => "/attempt",
    }
}

impl Attempt {
    /// Returns its bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let head = self.head.replace("PATH", path_of(self.verdict));
        let body = self.body.replace("HIDDEN", HIDDEN);
        [head, body].concat().into_bytes()
    }
}

pub(crate) const fn attempt(
    name: &'static str,
    verdict: Verdict,
    head: &'static str,
    body: &'static str,
) -> Attempt {
    Attempt {
        name,
        verdict,
        head,
        body,
    }
}
