//! A role as a process of its own, that a test kills and starts again. Its log is one file for all its lives.

mod life;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::Signal;

use self::life::Life;
use crate::eventually;
use crate::leftovers::processes;

/// How long a role may take to end after SIGTERM.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// How long a load balancer may take to hand over, and to end what it has begun.
const HANDOVER_DEADLINE: Duration = Duration::from_secs(40);
const TAIL_LINES: usize = 60;

/// One role; killed with SIGKILL when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    life: Option<Life>,
}

impl Process {
    /// Starts `program`; both its outputs are appended to `log`.
    ///
    /// # Errors
    /// Fails when the program or the log cannot be opened.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let mut process = Self {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            log,
            life: None,
        };
        process.start_again()?;
        Ok(process)
    }

    /// Starts the role once more, with the same arguments, after it was killed or has ended.
    ///
    /// # Errors
    /// Fails when it still runs, or cannot be started.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.life.is_none(), "{} runs already", self.name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot open {}", self.log.display()))?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        self.life = Some(Life::Started(child));
        Ok(())
    }

    /// Kills the role with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// Fails when it had ended by itself: then the test does not test what it says.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.check_running()?;
        if let Some(mut life) = self.life.take() {
            life.kill()?;
        }
        Ok(())
    }

    /// Asks the role to end with SIGTERM and returns how it did.
    ///
    /// # Errors
    /// Fails when it had ended by itself, or has not ended within 20 s.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.check_running()?;
        self.signal(Signal::SIGTERM)?;
        self.ended(STOP_DEADLINE).await
    }

    /// Tells a load balancer to hand over, and returns when it has ended; from then on its successor is the role.
    ///
    /// # Errors
    /// Fails when it does not end with success, or has no successor.
    pub async fn hand_over(&mut self) -> anyhow::Result<()> {
        self.begin_handover()?;
        self.end_handover().await
    }

    /// Tells a load balancer to hand over.
    ///
    /// # Errors
    /// Fails when it was killed or has ended.
    pub fn begin_handover(&mut self) -> anyhow::Result<()> {
        life::adopt_orphans()?;
        self.signal(Signal::SIGUSR2)
    }

    /// Waits until a load balancer that was told to hand over has ended; from then on its successor is the role.
    ///
    /// # Errors
    /// Fails when it does not end with success, or has no successor.
    pub async fn end_handover(&mut self) -> anyhow::Result<()> {
        let status = self.ended(HANDOVER_DEADLINE).await?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        let line: Vec<_> = self
            .arguments
            .iter()
            .map(|one| one.to_string_lossy())
            .collect();
        let found = processes(&line.join(" "))?;
        let [successor] = found.as_slice() else {
            bail!("{} has no successor, or several: {found:?}", self.name);
        };
        self.life = Some(Life::Adopted(successor.pid.try_into()?));
        Ok(())
    }

    /// Sends the role a signal.
    ///
    /// # Errors
    /// Fails when it was killed or has ended.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.check_running()?;
        let life = self.life.as_ref().context("never started")?;
        Ok(life.signal(signal)?)
    }

    /// Waits until it has ended by itself; returns how.
    ///
    /// # Errors
    /// Fails when it was killed, or runs at the deadline.
    pub async fn ended(&mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        let life = self.life.as_mut().context("never started")?;
        let status = eventually(deadline, &what, async || Ok(life.try_wait()?)).await?;
        self.life = None;
        Ok(status)
    }

    /// Checks that the role runs.
    ///
    /// # Errors
    /// Fails when it was killed or has ended, and says how.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        let life = self
            .life
            .as_mut()
            .with_context(|| format!("{} is not running", self.name))?;
        let ended = life.try_wait()?;
        ensure!(
            ended.is_none(),
            "{} has ended by itself: {ended:?}",
            self.name
        );
        Ok(())
    }

    /// Returns where its log is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns the id of the process.
    ///
    /// # Errors
    /// Fails when it was killed or has ended.
    pub fn pid(&mut self) -> anyhow::Result<u32> {
        self.check_running()?;
        Ok(self.life.as_ref().context("never started")?.pid())
    }

    /// Returns the last lines of its log under a heading, for the report of a failed test.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("---- {} ----\n{}\n", self.name, tail.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(life) = &mut self.life {
            // It fails only when it has ended already, which is what is wanted.
            life.kill().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(log: &str) -> Process {
        let log = std::env::temp_dir().join(format!("{log}-{}", std::process::id()));
        Process::start("sleeper", Path::new("/bin/sleep"), ["60"], log).unwrap()
    }

    #[tokio::test]
    async fn a_killed_role_starts_again_and_ends_when_asked() {
        let mut role = sleeper("rs-sleeper");
        role.kill().unwrap();
        assert!(role.check_running().is_err());
        role.start_again().unwrap();
        role.check_running().unwrap();
        assert!(!role.terminate().await.unwrap().success());
        fs::remove_file(&role.log).unwrap();
    }
}
