//! The thread that writes the log. What has come in while it waited for the disk becomes one
//! transaction: sixty-four writers share an fsync, and no runtime ever waits for one.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use openraft::storage::LogFlushed;
use tokio::sync::oneshot;

use super::file::{Change, Entries, LogError, LogFile};
use crate::raft::TypeConfig;

/// Changes that may wait; whoever brings one more waits with it.
const QUEUE: usize = 1024;
/// The most changes in one transaction.
const BATCH: usize = 256;

/// Who has to hear that a change is on disk.
pub(super) enum Done {
    Flushed(LogFlushed<TypeConfig>),
    Acknowledged(oneshot::Sender<Result<(), LogError>>),
}

struct Job {
    change: Change,
    done: Done,
}

/// The way to the writing thread; the thread ends, and closes the file, with the last of them.
pub(super) struct Writer {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. It takes entries out of `pending` once they are on disk.
    pub(super) fn start(file: Arc<LogFile>, pending: Arc<Mutex<Entries>>) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(move || write(&file, &pending, &jobs))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Hands over a change; changes are made in the order of the calls.
    pub(super) fn submit(&self, change: Change, done: Done) -> Result<(), LogError> {
        let queue = self.queue.as_ref().ok_or(LogError::Stopped)?;
        queue
            .send(Job { change, done })
            .map_err(|_| LogError::Stopped)
    }

    /// Makes changes and waits until they are on disk.
    pub(super) async fn make(&self, change: Change) -> Result<(), LogError> {
        let (done, answer) = oneshot::channel();
        self.submit(change, Done::Acknowledged(done))?;
        answer.await.map_err(|_| LogError::Stopped)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when the queue does; the file must be closed before it is opened again.
        self.queue = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the log's thread has panicked");
        }
    }
}

fn write(file: &LogFile, pending: &Mutex<Entries>, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(BATCH - 1));
        let written = file.commit(batch.iter().map(|job| &job.change));
        if written.is_ok() {
            forget_written(pending, &batch);
        }
        let failed = written.is_err();
        let mut failure = written.err();
        for job in batch {
            match (job.done, failed) {
                (Done::Flushed(callback), false) => callback.log_io_completed(Ok(())),
                (Done::Flushed(callback), true) => {
                    let error = failure.take().unwrap_or(LogError::Stopped);
                    callback.log_io_completed(Err(io::Error::other(error)));
                }
                (Done::Acknowledged(sender), _) => {
                    let result = match failed {
                        false => Ok(()),
                        true => Err(failure.take().unwrap_or(LogError::Stopped)),
                    };
                    // Whoever asked may have been stopped meanwhile.
                    drop(sender.send(result));
                }
            }
        }
        if failed {
            // What follows could leave a gap behind what was lost: nothing more is written.
            return;
        }
    }
}

fn forget_written(pending: &Mutex<Entries>, batch: &[Job]) {
    let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
    for job in batch {
        if let Change::Append(written) = &job.change {
            for (index, bytes) in written {
                // The index may have been truncated and appended anew since.
                if pending
                    .get(index)
                    .is_some_and(|waiting| Arc::ptr_eq(waiting, bytes))
                {
                    pending.remove(index);
                }
            }
        }
    }
}
