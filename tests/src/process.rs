//! A role as a process of its own, that a test kills and starts again. Its log is one file for all its lives.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::eventually;

/// How long a role may take to end after SIGTERM.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
const TAIL_LINES: usize = 60;

/// One role; killed with SIGKILL when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    child: Option<Child>,
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
            child: None,
        };
        process.start_again()?;
        Ok(process)
    }

    /// Starts the role once more, with the same arguments, after it was killed or has ended.
    ///
    /// # Errors
    /// Fails when it still runs, or cannot be started.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "{} runs already", self.name);
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
        self.child = Some(child);
        Ok(())
    }

    /// Kills the role with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// Fails when it had ended by itself: then the test does not test what it says.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.check_running()?;
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks the role to end with SIGTERM and returns how it did.
    ///
    /// # Errors
    /// Fails when it had ended by itself, or has not ended within 20 s.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.check_running()?;
        let name = &self.name;
        let child = self.child.as_mut().context("never started")?;
        let pid = i32::try_from(child.id()).context("a pid is an i32")?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        let what = format!("the end of {name}");
        let status = eventually(STOP_DEADLINE, &what, async || Ok(child.try_wait()?)).await?;
        self.child = None;
        Ok(status)
    }

    /// Checks that the role runs.
    ///
    /// # Errors
    /// Fails when it was killed or has ended, and says how.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        let child = self
            .child
            .as_mut()
            .with_context(|| format!("{} is not running", self.name))?;
        let ended = child.try_wait()?;
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
        Ok(self.child.as_ref().context("never started")?.id())
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
        if let Some(child) = &mut self.child {
            // Both fail only when it has ended already, which is what is wanted.
            child.kill().ok();
            child.wait().ok();
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
