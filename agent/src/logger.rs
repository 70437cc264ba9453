//! The process that writes a container's log: started by the containerd shim, one for each container.
//!
//! It outlives agent and containerd, so neither loses a line nor blocks the container when it dies. It
//! has one thread and two small buffers, and it never stops reading: a full disk costs lines, not the
//! container's progress.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};

use crate::logs::line::{Splitter, Stream};

/// A log has at most two files of this size.
const LARGEST_FILE: u64 = 10 << 20;
const BUFFER: usize = 16 << 10;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggerError {
    #[error("cannot open log {path}")]
    Open {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot wait for output")]
    Wait(#[source] io::Error),
}

/// Writes what arrives on the file descriptors 3 (stdout) and 4 (stderr) into `directory`, until both
/// have ended. Closes 5 when it is ready. To be called first thing in a process that a shim started:
/// nothing else may use these descriptors.
///
/// # Errors
/// Fails when the log cannot be opened.
pub fn container_logger(directory: &Path) -> Result<(), LoggerError> {
    // The shim sends SIGTERM as soon as the container is gone; what is in the pipes still counts.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals
        .thread_block()
        .map_err(|errno| LoggerError::Wait(errno.into()))?;
    let mut log = Log::open(directory)?;
    let mut inputs = [
        Some((Input::new(inherited(3)), Stream::Stdout)),
        Some((Input::new(inherited(4)), Stream::Stderr)),
    ];
    drop(inherited(5));
    while inputs.iter().any(Option::is_some) {
        for index in wait(&inputs)? {
            let Some((input, stream)) = &mut inputs[index] else {
                continue;
            };
            let lines = input.read(now(), *stream);
            log.write(&input.out);
            if !lines {
                inputs[index] = None;
            }
        }
    }
    Ok(())
}

fn inherited(number: i32) -> OwnedFd {
    #[expect(
        unsafe_code,
        reason = "a descriptor that was inherited has no owner yet"
    )]
    // SAFETY: the shim opened 3, 4 and 5 for this process, and each is taken once, right at its start.
    unsafe {
        OwnedFd::from_raw_fd(number)
    }
}

/// Waits until some inputs have something, or have ended; returns which.
fn wait(inputs: &[Option<(Input, Stream)>; 2]) -> Result<Vec<usize>, LoggerError> {
    let open = inputs.iter().enumerate();
    let open = open.filter_map(|(index, input)| Some((index, &input.as_ref()?.0)));
    let (indices, mut polled): (Vec<usize>, Vec<PollFd>) = open
        .map(|(index, input)| (index, PollFd::new(input.pipe.as_fd(), PollFlags::POLLIN)))
        .unzip();
    match poll(&mut polled, PollTimeout::NONE) {
        Ok(_) => {}
        Err(nix::errno::Errno::EINTR) => return Ok(Vec::new()),
        Err(errno) => return Err(LoggerError::Wait(errno.into())),
    }
    let ready = indices.into_iter().zip(polled);
    let ready = ready.filter(|(_, fd)| fd.any().unwrap_or(true));
    Ok(ready.map(|(index, _)| index).collect())
}

struct Input {
    pipe: File,
    splitter: Splitter,
    /// What the last read made: whole lines for the log.
    out: Vec<u8>,
}

impl Input {
    fn new(pipe: OwnedFd) -> Self {
        Self {
            pipe: File::from(pipe),
            splitter: Splitter::default(),
            out: Vec::new(),
        }
    }

    /// Reads once; returns `false` when there is no more to come.
    fn read(&mut self, now: i64, stream: Stream) -> bool {
        self.out.clear();
        let mut buffer = [0; BUFFER];
        match self.pipe.read(&mut buffer) {
            Ok(0) => {
                self.splitter.end(now, stream, &mut self.out);
                false
            }
            Ok(length) => {
                self.splitter
                    .push(&buffer[..length], now, stream, &mut self.out);
                true
            }
            Err(error) => error.kind() == io::ErrorKind::Interrupted,
        }
    }
}

struct Log {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Log {
    fn open(directory: &Path) -> Result<Self, LoggerError> {
        let path = directory.join(crate::logs::FILE);
        open(&path)
            .map(|(file, size)| Self {
                path: path.clone(),
                file,
                size,
            })
            .map_err(|cause| LoggerError::Open { path, cause })
    }

    /// Writes lines, in a new file if the old one is full. What cannot be written is lost: there is
    /// nobody to tell, and waiting would stop the container.
    fn write(&mut self, lines: &[u8]) {
        if self.size + lines.len() as u64 > LARGEST_FILE && self.size > 0 {
            let old = self.path.with_file_name(crate::logs::OLD_FILE);
            if fs::rename(&self.path, old).is_ok()
                && let Ok((file, size)) = open(&self.path)
            {
                (self.file, self.size) = (file, size);
            }
        }
        if self.file.write_all(lines).is_ok() {
            self.size += lines.len() as u64;
        }
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_is_put_aside_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::open(directory.path()).unwrap();
        log.size = LARGEST_FILE;
        log.write(b"1 stdout new\n");
        let read = |name| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read(crate::logs::FILE), "1 stdout new\n");
        assert_eq!(read(crate::logs::OLD_FILE), "");
    }
}
