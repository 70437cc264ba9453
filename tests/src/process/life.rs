//! One life of a role: a process that was started here, or a successor that one of those has started.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

#[derive(Debug)]
pub(super) enum Life {
    Started(Child),
    /// Its parent has ended, and left it to this process.
    Adopted(u32),
}

/// From now on this process is the parent of those that lose theirs.
pub(super) fn adopt_orphans() -> io::Result<()> {
    Ok(set_child_subreaper(true)?)
}

impl Life {
    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Started(child) => child.id(),
            Self::Adopted(pid) => *pid,
        }
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill(raw(self.pid())?, signal)?)
    }

    /// Returns how it has ended; `None` while it runs.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        match self {
            Self::Started(child) => child.try_wait(),
            Self::Adopted(pid) => Ok(status(waitpid(raw(*pid)?, Some(WaitPidFlag::WNOHANG))?)),
        }
    }

    /// Kills it with SIGKILL and waits for its end.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        match self {
            Self::Started(child) => {
                child.kill()?;
                child.wait()?;
            }
            Self::Adopted(pid) => {
                let pid = raw(*pid)?;
                kill(pid, Signal::SIGKILL)?;
                waitpid(pid, None)?;
            }
        }
        Ok(())
    }
}

fn raw(pid: u32) -> io::Result<Pid> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    Ok(Pid::from_raw(pid))
}

fn status(waited: WaitStatus) -> Option<ExitStatus> {
    match waited {
        WaitStatus::Exited(_, code) => Some(ExitStatus::from_raw(code << 8)),
        WaitStatus::Signaled(_, signal, _) => Some(ExitStatus::from_raw(signal as i32)),
        _ => None,
    }
}
