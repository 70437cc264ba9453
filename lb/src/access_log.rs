//! The access log: one JSON line per request, written by a thread of its own.
//!
//! The queue is bounded and never waited for: when the disk is slow, lines are lost and their number
//! is logged, and requests are not held up.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use http::{Request, StatusCode, Version};
use serde::Serialize;
use tracing::warn;

use crate::client::Client;

const QUEUE: usize = 8192;

/// What ALB writes for a client that hung up before its answer.
const CLIENT_CLOSED: u16 = 460;

/// Takes entries; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AccessLog {
    /// `None` is the end.
    lines: SyncSender<Option<Box<Line>>>,
    dropped: Arc<AtomicU64>,
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: JoinHandle<()>,
    lines: SyncSender<Option<Box<Line>>>,
}

#[derive(Debug, Serialize)]
struct Line {
    #[serde(serialize_with = "rfc3339")]
    time: SystemTime,
    client: IpAddr,
    listener_port: u16,
    method: String,
    host: String,
    path: String,
    status: u16,
    bytes_sent: usize,
    duration_ms: f64,
    target: Option<SocketAddr>,
    /// How many targets were asked.
    attempts: u32,
}

impl AccessLog {
    /// Opens `path` to append to it, and starts the thread.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Writer)> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (lines, queue) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let log = Self {
            lines: lines.clone(),
            dropped: Arc::clone(&dropped),
        };
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(file, &queue, &dropped))?;
        Ok((log, Writer { thread, lines }))
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

fn write(file: File, queue: &Receiver<Option<Box<Line>>>, dropped: &AtomicU64) {
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
        let whole = serde_json::to_vec(&line).map_err(io::Error::from);
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

fn rfc3339<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

/// The line of a request that is under way. It is written when this is dropped, however that comes.
#[derive(Debug)]
pub(crate) struct Entry {
    log: AccessLog,
    line: Option<Box<Line>>,
    begun: Instant,
}

impl Entry {
    pub(crate) fn begin<B>(
        log: AccessLog,
        client: &Client,
        request: &Request<B>,
        begun: Instant,
    ) -> Box<Self> {
        let uri = request.uri();
        let header = request.headers().get(http::header::HOST);
        let header = header.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        // With HTTP/2 every request names its host beside its path; HTTP/1.1 is logged as it came.
        let (host, path) = match uri.authority() {
            Some(authority) if request.version() == Version::HTTP_2 => {
                let path = uri.path_and_query().map(ToString::to_string);
                (Some(authority.to_string()), path.unwrap_or_default())
            }
            Some(_) | None => (header, uri.to_string()),
        };
        let line = Line {
            time: SystemTime::now(),
            client: client.address,
            listener_port: client.door.port,
            method: request.method().to_string(),
            host: host.unwrap_or_default(),
            path,
            status: CLIENT_CLOSED,
            bytes_sent: 0,
            duration_ms: 0.0,
            target: None,
            attempts: 0,
        };
        Box::new(Self {
            log,
            line: Some(Box::new(line)),
            begun,
        })
    }

    pub(crate) fn target(&mut self, address: SocketAddr) {
        if let Some(line) = &mut self.line {
            line.target = Some(address);
            line.attempts += 1;
        }
    }

    pub(crate) fn status(&mut self, status: StatusCode) {
        if let Some(line) = &mut self.line {
            line.status = status.as_u16();
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(line) = &mut self.line {
            line.bytes_sent += bytes;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(mut line) = self.line.take() {
            line.duration_ms = self.begun.elapsed().as_secs_f64() * 1000.0;
            if self.log.lines.try_send(Some(line)).is_err() {
                self.log.dropped.fetch_add(1, Relaxed);
            }
        }
    }
}
