//! The access log: one line per request, as JSON or as ALB writes it, written by a thread of its own.
//!
//! The queue is bounded and never waited for: when the disk is slow, lines are lost and their number
//! is logged, and requests are not held up.

mod alb;
mod entry;
mod line;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use tracing::warn;

pub(crate) use entry::Entry;
use line::Line;

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
    /// `None` is the end.
    lines: SyncSender<Option<Box<Line>>>,
    dropped: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: JoinHandle<()>,
    lines: SyncSender<Option<Box<Line>>>,
}

impl AccessLog {
    /// Opens `path` to append lines of that form to it, and starts the thread.
    pub(crate) fn open(path: &Path, format: AccessLogFormat) -> io::Result<(Self, Writer)> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (lines, queue) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let log = Self {
            lines: lines.clone(),
            dropped: Arc::clone(&dropped),
            lost: Arc::default(),
        };
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(file, format, &queue, &dropped))?;
        Ok((log, Writer { thread, lines }))
    }
}

impl AccessLog {
    /// Returns how many lines were lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

impl Writer {
    /// Writes what is in the queue and ends the thread; blocks until then.
    pub(crate) fn finish(self) {
        // An error means that the thread has ended already.
        if self.lines.send(None).is_ok() && self.thread.join().is_err() {
            warn!("the access log's writer panicked");
        }
    }
}

fn write(
    file: File,
    format: AccessLogFormat,
    queue: &Receiver<Option<Box<Line>>>,
    dropped: &AtomicU64,
) {
    let mut out = BufWriter::new(file);
    let mut healthy = true;
    loop {
        let next = queue.try_recv().or_else(|empty| match empty {
            TryRecvError::Empty => {
                report(out.flush(), dropped, &mut healthy);
                queue.recv().map_err(|_| TryRecvError::Disconnected)
            }
            TryRecvError::Disconnected => Err(empty),
        });
        let Ok(Some(line)) = next else {
            report(out.flush(), dropped, &mut healthy);
            return;
        };
        // Whole, so that the buffer is never written in the middle of a line: another process may append to the file too.
        let whole = match format {
            AccessLogFormat::Json => serde_json::to_vec(&line).map_err(io::Error::from),
            AccessLogFormat::Alb => Ok(alb::text(&line).into_bytes()),
        };
        let written = whole.and_then(|mut text| {
            text.push(b'\n');
            out.write_all(&text)
        });
        report(written, dropped, &mut healthy);
    }
}

/// Says what was lost since the last time, and once that writing fails.
fn report(written: io::Result<()>, dropped: &AtomicU64, healthy: &mut bool) {
    match written {
        Ok(()) => *healthy = true,
        Err(error) => {
            if std::mem::replace(healthy, false) {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot write the access log"
                );
            }
        }
    }
    let lost = dropped.swap(0, Relaxed);
    if lost > 0 {
        warn!(lost, "the access log cannot keep up; lines are lost");
    }
}
