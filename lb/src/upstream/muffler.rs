//! A waker that can be told to keep quiet.
//!
//! hyper's body channel wakes the connection's driver whenever a frame is taken, because elsewhere
//! the driver is another task. Here it is the task that takes the frame, and it drives the connection
//! before it waits: the wake-up would only make it run once more for nothing, once for each request.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// Passes wake-ups on to whichever task drives a connection at the time.
#[derive(Debug, Default)]
pub(super) struct Muffler {
    quiet: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Muffler {
    /// From now on it is the task of `cx` that is woken.
    pub(super) fn attach(&self, cx: &Context<'_>) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
    }

    /// Swallows the wake-ups that `step` itself causes. The caller must not wait before it has
    /// driven the connection.
    pub(super) fn quietly<T>(&self, step: impl FnOnce() -> T) -> T {
        self.quiet.store(true, Relaxed);
        let output = step();
        self.quiet.store(false, Relaxed);
        output
    }
}

impl Wake for Muffler {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.quiet.load(Relaxed) {
            return;
        }
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = &*task {
            task.wake_by_ref();
        }
    }
}
