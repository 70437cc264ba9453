//! The thread that writes the access log, and the file in which it does.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::line::Line;
use super::{AccessLogFormat, Lost, Message, alb};

/// So much is written at once while there is more to write.
const BUFFER: usize = 64 * 1024;
/// How long a file is left alone that could not be opened.
const PAUSE: Duration = Duration::from_secs(1);
/// Who may read the log: the group of whoever writes it may, such as an agent that sends it on.
const MODE: u32 = 0o640;

/// Opens a log to append to it.
pub(super) fn open(path: &Path) -> io::Result<File> {
    match OpenOptions::new().append(true).create_new(true).open(path) {
        Ok(file) => {
            file.set_permissions(Permissions::from_mode(MODE))?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().append(true).open(path)
        }
        Err(error) => Err(error),
    }
}

/// Where lines are written, as far as that is possible.
pub(super) struct Output {
    path: PathBuf,
    format: AccessLogFormat,
    file: Option<File>,
    /// The file is to be opened anew, and could not be.
    stale: bool,
    tried: Instant,
    /// Whole lines, so that no other process that appends to the file, as a successor does, gets between.
    buffer: Vec<u8>,
    lines: u64,
    lost: Lost,
    /// When losses were last told.
    told: Option<Instant>,
    healthy: bool,
}

impl Output {
    /// `file` is what the path led to, if it could be opened.
    pub(super) fn new(
        path: &Path,
        format: AccessLogFormat,
        file: Option<File>,
        lost: Lost,
    ) -> Self {
        Self {
            path: path.to_owned(),
            format,
            healthy: file.is_some(),
            stale: file.is_none(),
            file,
            tried: Instant::now(),
            buffer: Vec::with_capacity(BUFFER),
            lines: 0,
            lost,
            told: None,
        }
    }

    /// Writes what comes, until the end comes or nobody is left to send anything.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        loop {
            let next = queue.try_recv().or_else(|empty| match empty {
                TryRecvError::Empty => {
                    self.flush();
                    queue.recv().map_err(|_| TryRecvError::Disconnected)
                }
                TryRecvError::Disconnected => Err(empty),
            });
            match next {
                Ok(Message::Line(line)) => self.take(&line),
                Ok(Message::Reopen) => {
                    self.flush();
                    self.open();
                }
                Ok(Message::End) | Err(_) => {
                    self.flush();
                    self.tell();
                    return;
                }
            }
        }
    }

    fn take(&mut self, line: &Line) {
        let text = match self.format {
            AccessLogFormat::Json => serde_json::to_vec(line).map_err(io::Error::from),
            AccessLogFormat::Alb => Ok(alb::text(line).into_bytes()),
        };
        match text {
            Ok(text) => {
                self.buffer.extend_from_slice(&text);
                self.buffer.push(b'\n');
                self.lines += 1;
            }
            Err(error) => self.give_up(1, &error),
        }
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.stale && self.tried.elapsed() >= PAUSE {
            self.open();
        }
        if self.lines > 0 {
            let written = match &mut self.file {
                Some(file) => file.write_all(&self.buffer),
                None => Err(io::Error::other("it is not open")),
            };
            match written {
                Ok(()) => self.healthy = true,
                Err(error) => self.give_up(self.lines, &error),
            }
            self.buffer.clear();
            self.lines = 0;
        }
        if self.told.is_none_or(|told| told.elapsed() >= PAUSE) {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let lost = self.lost.since_the_last_time();
        if lost > 0 {
            self.told = Some(Instant::now());
            warn!(
                lost,
                "lines of the access log are lost: it cannot keep up, or cannot be written"
            );
        }
    }

    /// Opens whatever is under the name now; a file that has been moved away is let go of.
    fn open(&mut self) {
        self.tried = Instant::now();
        match open(&self.path) {
            Ok(file) => {
                info!(path = %self.path.display(), "the access log is open");
                self.file = Some(file);
                self.stale = false;
            }
            Err(error) => {
                if std::mem::replace(&mut self.stale, true) {
                    return;
                }
                let error = &error as &dyn std::error::Error;
                warn!(path = %self.path.display(), error, "cannot open the access log; trying again");
            }
        }
    }

    /// Counts lines that are lost, and says why, once until it works again.
    fn give_up(&mut self, lines: u64, error: &io::Error) {
        self.lost.add(lines);
        if std::mem::replace(&mut self.healthy, false) {
            let error = error as &dyn std::error::Error;
            warn!(path = %self.path.display(), error, "cannot write the access log");
        }
    }
}
