//! Messages with a few bytes changed, and places to cut them: what the tests of parsers with random input begin with.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A change of one byte, or of a stretch, at some place.
#[derive(Debug, Clone)]
enum Change {
    Replace(Index, u8),
    Insert(Index, u8),
    Delete(Index),
    Repeat(Index, Index),
}

/// Returns the bytes that mean something to a parser more often than others.
fn byte() -> impl Strategy<Value = u8> {
    let known = b"\r\n\0\t ,;:=#/?*@%+-.0159afxzAF\x16\x7f\x80\xff";
    prop_oneof![3 => select(known.to_vec()), 1 => any::<u8>()]
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    prop_oneof![
        (place(), byte()).prop_map(|(place, byte)| Change::Replace(place, byte)),
        (place(), byte()).prop_map(|(place, byte)| Change::Insert(place, byte)),
        place().prop_map(Change::Delete),
        (place(), place()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        match self {
            Self::Insert(place, byte) => bytes.insert(place.index(length + 1), *byte),
            Self::Replace(..) | Self::Delete(_) | Self::Repeat(..) if length == 0 => {}
            Self::Replace(place, byte) => bytes[place.index(length)] = *byte,
            Self::Delete(place) => drop(bytes.remove(place.index(length))),
            Self::Repeat(one, other) => {
                let (one, other) = (one.index(length), other.index(length));
                let again = bytes[one.min(other)..one.max(other)].to_vec();
                let end = one.max(other);
                bytes.splice(end..end, again);
            }
        }
    }
}

/// Returns one of these messages, mostly with a few changes.
pub(crate) fn mutated<M: AsRef<[u8]>>(messages: &[M]) -> impl Strategy<Value = Vec<u8>> + use<M> {
    let messages: Vec<_> = messages.iter().map(|one| one.as_ref().to_vec()).collect();
    (select(messages), vec(change(), 0..5)).prop_map(|(mut bytes, changes)| {
        for change in changes {
            change.apply(&mut bytes);
        }
        bytes
    })
}

/// Returns such a message, or bytes that are none.
pub(crate) fn any_or_mutated<M: AsRef<[u8]>>(
    messages: &[M],
) -> impl Strategy<Value = Vec<u8>> + use<M> {
    prop_oneof![1 => vec(any::<u8>(), 0..200), 4 => mutated(messages)]
}

/// A message, and where it is cut.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    pub(crate) bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Cut {
    /// Returns its parts, of which some may be empty.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let places = self.places.windows(2);
        places.map(|place| &self.bytes[place[0]..place[1]])
    }

    /// Returns it as one part.
    pub(crate) fn whole(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.bytes.as_slice())
    }
}

/// Cuts messages anywhere.
pub(crate) fn cut(messages: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Cut> {
    (messages, vec(any::<Index>(), 0..6)).prop_map(|(bytes, places)| {
        let end = bytes.len();
        let mut places: Vec<_> = places.iter().map(|place| place.index(end + 1)).collect();
        places.extend([0, end]);
        places.sort_unstable();
        Cut { bytes, places }
    })
}
