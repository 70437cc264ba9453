//! What a pool keeps for each worker, under a lock that the drain takes from outside; otherwise a worker is alone with its stack.
//!
//! Generic over the lock, so that loom can try every order in which workers and a drain may come to it (`target::word`).

use std::marker::PhantomData;
use std::sync::Mutex;

use crate::lock::lock;

/// A stack behind a lock: the standard one has it, and that of loom.
pub(crate) trait Locked<T> {
    fn empty() -> Self;
    fn with<R>(&self, act: impl FnOnce(&mut Vec<T>) -> R) -> R;
}

impl<T> Locked<T> for Mutex<Vec<T>> {
    fn empty() -> Self {
        Self::default()
    }

    fn with<R>(&self, act: impl FnOnce(&mut Vec<T>) -> R) -> R {
        act(&mut lock(self))
    }
}

/// A bounded stack for each worker.
#[derive(Debug)]
pub(crate) struct Stacks<T, L = Mutex<Vec<T>>> {
    most: usize,
    stacks: Box<[L]>,
    kept: PhantomData<T>,
}

impl<T, L: Locked<T>> Stacks<T, L> {
    /// Returns stacks of at most `most` each.
    pub(crate) fn new(workers: usize, most: usize) -> Self {
        Self {
            most,
            stacks: (0..workers).map(|_| L::empty()).collect(),
            kept: PhantomData,
        }
    }

    pub(crate) fn with<R>(&self, worker: usize, act: impl FnOnce(&mut Vec<T>) -> R) -> R {
        self.stacks[worker].with(act)
    }

    /// Keeps one, unless there are enough or `closed` says, under the lock, that the target takes no more requests.
    pub(crate) fn put(&self, worker: usize, one: T, closed: impl Fn() -> bool) {
        self.with(worker, |stack| {
            if stack.len() < self.most && !closed() {
                stack.push(one);
            }
        });
    }

    /// Lets go of all; `closed` must say so by now.
    pub(crate) fn clear(&self) {
        for stack in &self.stacks {
            let kept = stack.with(std::mem::take);
            // Not under the lock: closing takes its time.
            drop(kept);
        }
    }
}
