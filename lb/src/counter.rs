//! A number that one thread writes, and any may read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one thread writes: a plain load and store is enough, and it pays nothing for who else looks.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    pub(crate) fn set(&self, number: u64) {
        self.0.store(number, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
