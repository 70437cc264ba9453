//! What a pool keeps for each worker, under a lock that the drain takes from outside; otherwise a worker is alone with its stack.
//!
//! Generic over the lock, so that loom can try every order in which workers and a drain may come to it.

use std::sync::Mutex;

use crate::lock::lock;

/// A stack behind a lock: the standard one has it, and in tests that of loom.
pub(crate) trait Locked {
    type Item;

    fn empty() -> Self;

    /// Does something with the stack while nobody else can.
    fn with<R>(&self, act: impl FnOnce(&mut Vec<Self::Item>) -> R) -> R;
}

impl<T> Locked for Mutex<Vec<T>> {
    type Item = T;

    fn empty() -> Self {
        Self::default()
    }

    fn with<R>(&self, act: impl FnOnce(&mut Vec<T>) -> R) -> R {
        act(&mut lock(self))
    }
}

/// A stack for each worker.
#[derive(Debug)]
pub(crate) struct Stacks<L> {
    most: usize,
    stacks: Box<[L]>,
}

impl<L: Locked> Stacks<L> {
    /// Returns stacks of at most `most` each.
    pub(crate) fn new(workers: usize, most: usize) -> Self {
        Self {
            most,
            stacks: (0..workers).map(|_| L::empty()).collect(),
        }
    }

    /// Does something with a worker's stack while nobody else can.
    pub(crate) fn with<R>(&self, worker: usize, act: impl FnOnce(&mut Vec<L::Item>) -> R) -> R {
        self.stacks[worker].with(act)
    }

    /// Keeps one, unless there are enough or `closed` says, under the lock, that the target takes no more requests.
    pub(crate) fn put(&self, worker: usize, one: L::Item, closed: impl Fn() -> bool) {
        self.with(worker, |stack| {
            if stack.len() < self.most && !closed() {
                stack.push(one);
            }
        });
    }

    /// Lets go of all. What makes `closed` true comes first: then nothing is put there any more.
    pub(crate) fn clear(&self) {
        for stack in &self.stacks {
            let kept = stack.with(std::mem::take);
            // Not under the lock: closing takes its time.
            drop(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::*;

    impl<T> Locked for Mutex<Vec<T>> {
        type Item = T;

        fn empty() -> Self {
            Self::new(Vec::new())
        }

        fn with<R>(&self, act: impl FnOnce(&mut Vec<T>) -> R) -> R {
            act(&mut self.lock().unwrap())
        }
    }

    /// What was put there is with one of those who took it, or still there.
    #[test]
    fn in_every_order_a_stack_has_no_more_than_its_most_and_nothing_twice() {
        loom::model(|| {
            let stacks = Arc::new(Stacks::<Mutex<Vec<usize>>>::new(1, 1));
            stacks.put(0, 7, || false);
            let workers = [1, 2].map(|own| {
                let stacks = Arc::clone(&stacks);
                thread::spawn(move || {
                    let taken = stacks.with(0, Vec::pop);
                    stacks.put(0, own, || false);
                    taken
                })
            });
            let taken = workers.map(|worker| worker.join().unwrap());
            let left = stacks.with(0, |stack| stack.clone());
            assert_eq!(left.len(), 1, "one was there all the time, or put back");
            let mut held: Vec<_> = taken.into_iter().flatten().chain(left).collect();
            held.sort_unstable();
            held.dedup();
            assert_eq!(held.len(), taken.iter().flatten().count() + 1, "{held:?}");
        });
    }
}
