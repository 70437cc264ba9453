//! The process that a load balancer starts to take its place.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream as Link;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::inheritance::{Legacy, VARIABLE};
use super::{GO, HEARS, HandoverError, READY};

/// How long a process may take to end once it has closed its link.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A successor that was started. Its link tells it, by its end, that this process has no request any more.
#[derive(Debug)]
pub(crate) struct Successor {
    child: Child,
    link: UnixStream,
    pid: u32,
    /// It is of a version that hears more than the end.
    hears: bool,
}

impl Successor {
    /// Starts what this process was started as: the same line, and whatever file is under that name now.
    pub(super) fn start(
        lock: Option<&File>,
        sockets: &[Arc<TcpListener>],
    ) -> Result<Self, HandoverError> {
        let mut line = env::args_os();
        let program = line.next().unwrap_or_default();
        start(&program, line, lock, sockets).map_err(|cause| HandoverError::Start {
            program: program.to_string_lossy().into_owned(),
            cause,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it could serve.
    pub(super) async fn ready(&mut self) -> Result<(), HandoverError> {
        match self.link.read_u8().await {
            Ok(READY) => {
                // Said together with the first byte, or not at all.
                let mut next = [0];
                self.hears = matches!(self.link.try_read(&mut next), Ok(1)) && next == [HEARS];
                Ok(())
            }
            Ok(_) | Err(_) => {
                let ended = timeout(LAST_WORDS, self.child.wait()).await;
                Err(match ended {
                    Ok(Ok(status)) => HandoverError::Ended(status),
                    Ok(Err(_)) | Err(_) => HandoverError::Silent,
                })
            }
        }
    }

    /// Returns whether it hears where this process still has requests.
    pub(super) fn hears(&self) -> bool {
        self.hears
    }

    /// Nothing is said to it any more.
    pub(super) fn is_deaf(&mut self) {
        self.hears = false;
    }

    pub(super) fn link(&self) -> &UnixStream {
        &self.link
    }

    /// Tells it to serve.
    pub(super) fn go(&self) -> io::Result<()> {
        match self.link.try_write(&[GO])? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(()),
        }
    }

    /// Tells it to hand over, once it is alone.
    pub(super) fn ask(&self) -> io::Result<()> {
        let pid = i32::try_from(self.pid).map_err(io::Error::other)?;
        Ok(kill(Pid::from_raw(pid), Signal::SIGUSR2)?)
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends it; when this returns it serves nothing.
    pub(super) async fn end(mut self) -> io::Result<ExitStatus> {
        self.child.start_kill().ok(); // fails only for one that has ended
        self.child.wait().await
    }
}

fn start(
    program: &OsStr,
    arguments: env::ArgsOs,
    lock: Option<&File>,
    sockets: &[Arc<TcpListener>],
) -> io::Result<Successor> {
    let (link, theirs) = Link::pair()?;
    link.set_nonblocking(true)?;
    let link = UnixStream::from_std(link)?;
    let legacy = Legacy::new(&theirs, lock, sockets)?;
    let child = Command::new(program)
        .args(arguments)
        .env(VARIABLE, &legacy.variable)
        .spawn()?;
    let ended = || io::Error::other("it has ended already");
    let pid = child.id().ok_or_else(ended)?;
    Ok(Successor {
        child,
        link,
        pid,
        hears: false,
    })
}
