//! What a process leaves to its successor: open descriptors, and one environment variable that says which they are.

use std::env;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::dup;
use serde::{Deserialize, Serialize};

/// Read by the next version, and the one after it: fields are added with a default, and unknown ones left alone.
pub(super) const VARIABLE: &str = "ROADSTEAD_SUCCESSION";

/// What a process has inherited.
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub(crate) predecessor: Predecessor,
    /// The lock of the data directory, where the predecessor had one.
    pub(crate) lock: Option<File>,
}

/// The process that has started this one, and serves until this one can.
#[derive(Debug)]
pub(crate) struct Predecessor {
    pub(super) link: UnixStream,
    pub(super) sockets: Vec<TcpListener>,
}

/// The variable was not set by a predecessor of this process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InheritanceError {
    #[error("{VARIABLE} is not of the form that a predecessor gives it")]
    Malformed(#[source] serde_json::Error),
    #[error("the environment names a descriptor that is not open")]
    Closed(#[source] io::Error),
}

/// The variable's value.
#[derive(Debug, Serialize, Deserialize)]
struct Will {
    /// Whose it is: one that has come down to some other process says nothing.
    predecessor: u32,
    link: RawFd,
    #[serde(default)]
    lock: Option<RawFd>,
    #[serde(default)]
    listeners: Vec<RawFd>,
}

impl Inheritance {
    /// Returns what this process has inherited; `None` if nothing. To be called once, at the start.
    ///
    /// # Errors
    /// Fails when the variable does not say what a predecessor says.
    pub(crate) fn take() -> Result<Option<Self>, InheritanceError> {
        let Some(text) = env::var_os(VARIABLE) else {
            return Ok(None);
        };
        let will: Will =
            serde_json::from_slice(text.as_encoded_bytes()).map_err(InheritanceError::Malformed)?;
        if will.predecessor != parent_id() {
            return Ok(None);
        }
        let link = inherited(will.link)?;
        let lock = will.lock.map(inherited).transpose()?;
        let listeners = will.listeners.into_iter().map(inherited);
        let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Self {
            predecessor: Predecessor {
                link: link.into(),
                sockets: listeners.into_iter().map(TcpListener::from).collect(),
            },
            lock: lock.map(File::from),
        }))
    }
}

/// Takes a descriptor that was open when this process began; what it starts gets it only if it is meant to.
///
/// # Errors
/// Fails when it is not open.
pub(crate) fn inherited(number: RawFd) -> Result<OwnedFd, InheritanceError> {
    #[expect(
        unsafe_code,
        reason = "a descriptor that was inherited has no owner yet"
    )]
    // SAFETY: it was opened for this process by whoever started it, and is taken once, right at the start.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    match fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        Ok(_) => Ok(descriptor),
        Err(errno) => {
            // It is not open: there is nothing to close.
            std::mem::forget(descriptor);
            Err(InheritanceError::Closed(errno.into()))
        }
    }
}

/// Descriptors that are open in the next process that is started, and what it is told about them.
#[derive(Debug)]
pub(super) struct Legacy {
    pub(super) variable: String,
    _open: Vec<OwnedFd>,
}

impl Legacy {
    pub(super) fn new(
        link: &UnixStream,
        lock: Option<&File>,
        sockets: &[Arc<TcpListener>],
    ) -> io::Result<Self> {
        let mut open = Vec::new();
        // A duplicate stays open over exec, unlike its original.
        let mut leave = |descriptor: &dyn AsFd| -> io::Result<RawFd> {
            let duplicate = dup(descriptor.as_fd())?;
            let number = duplicate.as_raw_fd();
            open.push(duplicate);
            Ok(number)
        };
        let will = Will {
            predecessor: std::process::id(),
            link: leave(link)?,
            lock: lock.map(|lock| leave(lock)).transpose()?,
            listeners: sockets
                .iter()
                .map(|socket| leave(socket.as_ref()))
                .collect::<io::Result<_>>()?,
        };
        Ok(Self {
            variable: serde_json::to_string(&will).map_err(io::Error::other)?,
            _open: open,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_will_that_knows_more_or_less_than_this_version_is_read() {
        let will: Will =
            serde_json::from_str(r#"{"predecessor": 7, "link": 3, "weather": "fine"}"#).unwrap();
        assert_eq!((will.predecessor, will.link), (7, 3));
        assert_eq!((will.lock, will.listeners.len()), (None, 0));
    }

    #[test]
    fn what_is_left_is_named_and_stays_open_over_exec() {
        let (link, _other) = UnixStream::pair().unwrap();
        let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let legacy = Legacy::new(&link, None, &[Arc::clone(&socket)]).unwrap();
        let will: Will = serde_json::from_str(&legacy.variable).unwrap();
        assert_eq!(will.predecessor, std::process::id());
        assert_eq!(will.listeners.len(), 1);
        for descriptor in &legacy._open {
            let flags = fcntl(descriptor, FcntlArg::F_GETFD).unwrap();
            assert!(!FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
        }
    }
}
