//! The unused connections to one target: a bounded stack for each worker.
//!
//! Connections never cross cores. The lock is there for the drain, which closes them from outside;
//! otherwise a worker is alone with its stack.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::Wire;
use crate::lock::lock;

/// Keeps a connection, unless there are enough, or the target takes no more requests.
pub(crate) fn push_unless<T>(stack: &mut Vec<T>, one: T, most: usize, closed: impl Fn() -> bool) {
    if stack.len() < most && !closed() {
        stack.push(one);
    }
}

/// Boxed, for a connection goes in and out with each request.
type Stack = Vec<Box<Wire>>;

/// Connections that wait for their next request.
#[derive(Debug)]
pub(crate) struct Pool {
    most: usize,
    stacks: Box<[Mutex<Stack>]>,
}

impl Pool {
    /// Returns a pool that keeps at most `most` connections for each worker.
    pub(crate) fn new(workers: usize, most: usize) -> Self {
        Self {
            most,
            stacks: (0..workers).map(|_| Mutex::default()).collect(),
        }
    }

    /// Returns the connection that was used last, if that is less than `age` ago.
    ///
    /// The target may be closing it just now; the exchange will find out.
    pub(crate) fn take(&self, worker: usize, now: Instant, age: Duration) -> Option<Box<Wire>> {
        let mut stack = self.lock(worker);
        while let Some(mut wire) = stack.pop_if(|wire| {
            wire.unused_since
                .is_some_and(|since| now.saturating_duration_since(since) < age)
        }) {
            if wire.is_quiet() {
                return Some(wire);
            }
        }
        None
    }

    /// Keeps a connection that is unused since now, unless there are enough or `closed` says, under the lock, that the target
    /// takes no more requests.
    pub(crate) fn put(
        &self,
        worker: usize,
        mut wire: Box<Wire>,
        now: Instant,
        closed: impl Fn() -> bool,
    ) {
        wire.set_aside(now);
        let mut stack = self.lock(worker);
        push_unless(&mut stack, wire, self.most, closed);
    }

    /// Closes the connections of a worker that are older than `age` or that the target has closed.
    pub(crate) fn trim(&self, worker: usize, age: Duration) {
        self.lock(worker).retain_mut(|wire| {
            wire.is_quiet() && wire.unused_since.is_some_and(|since| since.elapsed() < age)
        });
    }

    /// Closes every connection.
    pub(crate) fn clear(&self) {
        for worker in 0..self.stacks.len() {
            let closed = std::mem::take(&mut *self.lock(worker));
            drop(closed);
        }
    }

    fn lock(&self, worker: usize) -> MutexGuard<'_, Stack> {
        lock(&self.stacks[worker])
    }
}
