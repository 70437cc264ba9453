//! The word of a target on which the drain handshake rests: its marks, and how many requests are there.
//!
//! A core counts its request and sees the mark in one atomic step, so once `drain` has returned no request can begin,
//! whatever old table a core still holds; and once the number is then seen at zero it stays there. The tests let loom try
//! every order in which cores may come to it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire};

const DRAINING: u64 = 1 << 63;
const CUT: u64 = 1 << 62;
/// The most requests that a target can have.
pub(super) const REQUESTS: u64 = CUT - 1;

/// What is needed of an atomic number: the standard one has it, and that of loom.
pub(super) trait Atomic {
    fn zero() -> Self;
    fn read(&self, ordering: Ordering) -> u64;
    fn or(&self, bits: u64, ordering: Ordering);
    fn minus_one(&self, ordering: Ordering) -> u64;
    fn step(&self, step: impl FnMut(u64) -> Option<u64>) -> bool;
}

macro_rules! atomic {
    ($number:ty) => {
        impl Atomic for $number {
            fn zero() -> Self {
                Self::new(0)
            }

            fn read(&self, ordering: Ordering) -> u64 {
                self.load(ordering)
            }

            fn or(&self, bits: u64, ordering: Ordering) {
                self.fetch_or(bits, ordering);
            }

            fn minus_one(&self, ordering: Ordering) -> u64 {
                self.fetch_sub(1, ordering)
            }

            fn step(&self, step: impl FnMut(u64) -> Option<u64>) -> bool {
                self.fetch_update(AcqRel, Acquire, step).is_ok()
            }
        }
    };
}
atomic!(AtomicU64);

/// The word of one target.
#[derive(Debug)]
pub(super) struct Word<A = AtomicU64>(A);

impl<A: Atomic> Word<A> {
    pub(super) fn new() -> Self {
        Self(A::zero())
    }

    /// Counts one more request; returns false when the target is draining, or has `most` already.
    pub(super) fn begin(&self, most: u64) -> bool {
        self.0
            .step(|word| (word & DRAINING == 0 && word & REQUESTS < most).then_some(word + 1))
    }

    /// A request is over; returns whether it was the last one of a target that drains.
    pub(super) fn end(&self) -> bool {
        let before = self.0.minus_one(AcqRel);
        before & DRAINING != 0 && before & REQUESTS == 1
    }

    /// Lets no further request begin.
    pub(super) fn drain(&self) {
        self.0.or(DRAINING, AcqRel);
    }

    /// Tells the requests that are there to end.
    pub(super) fn cut(&self) {
        self.0.or(DRAINING | CUT, AcqRel);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.0.read(Acquire) & DRAINING != 0
    }

    pub(super) fn is_cut(&self) -> bool {
        self.0.read(Acquire) & CUT != 0
    }

    /// Returns how many requests are there.
    pub(super) fn requests(&self) -> u64 {
        self.0.read(Acquire) & REQUESTS
    }
}

#[cfg(test)]
mod tests {
    use loom::sync::atomic::AtomicU64 as Model;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::*;
    use crate::upstream::Stacks;

    atomic!(Model);

    #[test]
    fn in_no_order_does_a_request_begin_after_the_target_was_seen_drained() {
        // All orders are too many for three threads; those with more changes of thread are of the same kind.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let word = Arc::new(Word::<Model>::new());
            let drained = Arc::new(Model::new(0));
            let cores = [(), ()].map(|()| {
                let (word, drained) = (Arc::clone(&word), Arc::clone(&drained));
                thread::spawn(move || {
                    let was_drained = drained.load(Acquire) == 1;
                    if word.begin(REQUESTS) {
                        assert!(!was_drained, "it began too late");
                        word.end();
                    }
                })
            });
            word.drain();
            if word.requests() == 0 {
                drained.store(1, Ordering::Release);
            }
            for core in cores {
                core.join().unwrap();
            }
            assert_eq!(word.requests(), 0);
            assert!(!word.begin(REQUESTS));
        });
    }

    #[test]
    fn in_every_order_exactly_one_request_is_the_last_unless_none_was_there() {
        loom::model(|| {
            let word = Arc::new(Word::<Model>::new());
            assert!(word.begin(REQUESTS) && word.begin(REQUESTS));
            let cores = [(), ()].map(|()| {
                let word = Arc::clone(&word);
                thread::spawn(move || u64::from(word.end()))
            });
            word.drain();
            let seen_empty = u64::from(word.requests() == 0);
            let last: u64 = cores.into_iter().map(|core| core.join().unwrap()).sum();
            // Whoever waits for the end is woken, or sees it for itself.
            assert!(last + seen_empty >= 1 && last <= 1);
        });
    }

    #[test]
    fn in_no_order_has_a_target_more_requests_than_it_gets() {
        loom::model(|| {
            let word = Arc::new(Word::<Model>::new());
            let cores = [(), ()].map(|()| {
                let word = Arc::clone(&word);
                thread::spawn(move || u64::from(word.begin(1)))
            });
            let begun: u64 = cores.into_iter().map(|core| core.join().unwrap()).sum();
            assert_eq!((begun, word.requests()), (1, 1));
        });
    }

    /// The order of `Target::drain`: first the mark, then the pool. Each core takes a connection, or makes one, for a request, and
    /// gives it back at the request's end.
    #[test]
    fn in_no_order_is_a_connection_left_in_the_pool_of_a_target_that_drains() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let word = Arc::new(Word::<Model>::new());
            let pool = Arc::new(Stacks::<Mutex<Vec<usize>>>::new(2, 1));
            pool.put(0, 0, || word.is_draining());
            let cores = [0, 1].map(|core| {
                let (word, pool) = (Arc::clone(&word), Arc::clone(&pool));
                thread::spawn(move || {
                    if word.begin(REQUESTS) {
                        let connection = pool.with(core, Vec::pop);
                        pool.put(core, connection.unwrap_or(core), || word.is_draining());
                        word.end();
                    }
                })
            });
            word.drain();
            pool.clear();
            for core in cores {
                core.join().unwrap();
            }
            for core in [0, 1] {
                assert_eq!(pool.with(core, |stack| stack.len()), 0, "of core {core}");
            }
        });
    }
}
