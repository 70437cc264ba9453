//! The access log: one line per request, as JSON or as ALB writes it, written by a thread of its own.
//!
//! The queue is bounded and never waited for: when the disk is slow, lines are lost and their number
//! is logged, and requests are not held up.

mod alb;
mod entry;
mod line;
mod writer;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use tracing::warn;

pub(crate) use entry::Entry;
use line::Line;
use writer::Output;

const QUEUE: usize = 8192;

/// How a line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// One JSON object.
    #[default]
    Json,
    /// The fields of ALB's access log, in its order.
    Alb,
}

/// Takes entries; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AccessLog {
    messages: SyncSender<Message>,
    lost: Lost,
}

/// What the writer is told.
#[derive(Debug)]
enum Message {
    Line(Box<Line>),
    /// The file may have been moved away.
    Reopen,
    End,
}

/// Counts lines that are not written.
#[derive(Debug, Clone, Default)]
struct Lost(Arc<LostCounts>);

#[derive(Debug, Default)]
struct LostCounts {
    ever: AtomicU64,
    /// Not told in the journal yet.
    untold: AtomicU64,
}

impl Lost {
    fn add(&self, lines: u64) {
        self.0.ever.fetch_add(lines, Relaxed);
        self.0.untold.fetch_add(lines, Relaxed);
    }

    fn since_the_last_time(&self) -> u64 {
        self.0.untold.swap(0, Relaxed)
    }
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: JoinHandle<()>,
    messages: SyncSender<Message>,
}

impl AccessLog {
    /// Starts to append lines of that form to the file. One that cannot be opened is tried again, and lines are lost meanwhile.
    ///
    /// # Errors
    /// Fails when it cannot be opened now and `at_once` asks for that, or when there is no thread for it.
    pub(crate) fn open(
        path: &Path,
        format: AccessLogFormat,
        at_once: bool,
    ) -> io::Result<(Self, Writer)> {
        let file = match writer::open(path) {
            Ok(file) => Some(file),
            Err(error) if at_once => return Err(error),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(path = %path.display(), error, "serving without the access log until it can be opened");
                None
            }
        };
        let (messages, queue) = sync_channel(QUEUE);
        let lost = Lost::default();
        let output = Output::new(path, format, file, lost.clone());
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || output.run(&queue))?;
        let log = Self {
            messages: messages.clone(),
            lost,
        };
        Ok((log, Writer { thread, messages }))
    }

    /// Takes a line, or counts it as lost.
    fn take(&self, line: Box<Line>) {
        if self.messages.try_send(Message::Line(line)).is_err() {
            self.lost.add(1);
        }
    }

    /// Returns how many lines were lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.0.ever.load(Relaxed)
    }

    /// Lets the file be opened anew, behind the lines that wait; blocks while the queue is full.
    pub(crate) fn reopen(&self) {
        // An error means that the writer has ended.
        self.messages.send(Message::Reopen).ok();
    }
}

impl Writer {
    /// Writes what is in the queue and ends the thread; blocks until then.
    pub(crate) fn finish(self) {
        // An error means that the thread has ended already.
        if self.messages.send(Message::End).is_ok() && self.thread.join().is_err() {
            warn!("the access log's writer panicked");
        }
    }
}
