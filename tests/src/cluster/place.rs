//! Where a cluster lives on this machine: one short directory below /tmp, one name, and the end of both.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::binaries;
use crate::leftovers::{processes, runs};

/// For commands that act on containerd; handed to timeout(1).
const COMMAND_SECONDS: &str = "60";

/// A cluster's directory and the name of its agent, which is the directory's own.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) ctl: PathBuf,
    /// `rs`, the id of the test process, a letter: short enough to begin the name of a network link.
    pub(super) name: String,
    pub(super) directory: PathBuf,
}

impl Place {
    /// Makes a new place, after removing those of tests that were killed.
    pub(super) fn new() -> anyhow::Result<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(b'a');
        sweep()?;
        let letter = char::from(NEXT.fetch_add(1, Ordering::Relaxed));
        ensure!(
            letter.is_ascii_lowercase(),
            "too many clusters in one process"
        );
        let place = Self::named(format!("rs{}{letter}", std::process::id()));
        fs::create_dir(&place.directory)
            .with_context(|| format!("cannot create {}", place.directory.display()))?;
        Ok(place)
    }

    fn named(name: String) -> Self {
        Self {
            ctl: binaries::ctl(),
            directory: Path::new("/tmp").join(&name),
            name,
        }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join("server.sock")
    }

    pub(super) fn endpoint(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// The data directory of a role.
    pub(super) fn data(&self, command: &str) -> String {
        self.directory.join(command).display().to_string()
    }

    /// Runs a command of `ctl` in the directory, with a bound on its time and without the context file of who runs
    /// the tests.
    pub(super) fn ctl(&self, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<Output> {
        Command::new("timeout")
            .arg(COMMAND_SECONDS)
            .arg(&self.ctl)
            .args(arguments)
            .current_dir(&self.directory)
            .env("ROADSTEAD_ENDPOINT", self.endpoint())
            .env("HOME", &self.directory)
            .env_remove("ROADSTEAD_CONTEXT")
            .output()
            .with_context(|| format!("cannot run {}", self.ctl.display()))
    }

    /// Runs a command that acts on the agent's own containerd, such as `agent remove`.
    pub(super) fn on_agent(&self, command: &[&str]) -> anyhow::Result<()> {
        let data = self.data("agent");
        let whole = [command, &["--data-dir", &data, "--name", &self.name]].concat();
        let output = self.ctl(&whole)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!(
            "`ctl {}` ended with {}: {said}",
            whole.join(" "),
            output.status
        )
    }

    /// Removes all that the agent made, and the directory.
    pub(super) fn remove(&self) -> anyhow::Result<()> {
        if fs::exists(self.data("agent"))? {
            self.on_agent(&["agent", "remove"])?;
        }
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("cannot remove {}", self.directory.display()))
    }
}

/// Removes the places whose test process is gone: killed by hand, or by the runner after its timeout.
fn sweep() -> anyhow::Result<()> {
    for entry in fs::read_dir("/tmp").context("cannot read /tmp")? {
        let name = entry?.file_name().display().to_string();
        let owner = name
            .strip_prefix("rs")
            .and_then(|rest| rest.strip_suffix(|last: char| last.is_ascii_lowercase()))
            .and_then(|pid| pid.parse::<u32>().ok());
        let Some(owner) = owner else { continue };
        if runs(owner) {
            continue;
        }
        let place = Place::named(name);
        // Only the roles have this flag: containerd, its shims and the loggers are for `agent remove`.
        let roles = format!("--data-dir {}/", place.directory.display());
        for process in processes(&roles)? {
            // It fails only for a process that has just ended by itself.
            kill(Pid::from_raw(process.pid), Signal::SIGKILL).ok();
        }
        if let Err(error) = place.remove() {
            eprintln!("cannot remove what an earlier test left: {error:#}");
        }
    }
    Ok(())
}
