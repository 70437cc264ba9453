//! The unused connections to one target that speaks HTTP/1.1. They never cross cores.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Wire;
use super::stacks::Stacks;

/// Boxed, for a connection goes in and out with each request.
type Kept = Box<Wire>;

/// Connections that wait for their next request.
#[derive(Debug)]
pub(crate) struct Pool(Stacks<Mutex<Vec<Kept>>>);

impl Pool {
    /// Returns a pool that keeps at most `most` connections for each worker.
    pub(crate) fn new(workers: usize, most: usize) -> Self {
        Self(Stacks::new(workers, most))
    }

    /// Returns the connection that was used last, if that is less than `age` ago.
    ///
    /// The target may be closing it just now; the exchange will find out.
    pub(crate) fn take(&self, worker: usize, now: Instant, age: Duration) -> Option<Box<Wire>> {
        let is_fresh = |wire: &mut Box<Wire>| {
            wire.unused_since
                .is_some_and(|since| now.saturating_duration_since(since) < age)
        };
        self.0.with(worker, |stack| {
            while let Some(mut wire) = stack.pop_if(is_fresh) {
                if wire.is_quiet() {
                    return Some(wire);
                }
            }
            None
        })
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
        self.0.put(worker, wire, closed);
    }

    /// Closes the connections of a worker that are older than `age` or that the target has closed.
    pub(crate) fn trim(&self, worker: usize, age: Duration) {
        self.0.with(worker, |stack| {
            stack.retain_mut(|wire| {
                wire.is_quiet() && wire.unused_since.is_some_and(|since| since.elapsed() < age)
            });
        });
    }

    /// Closes every connection.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}
