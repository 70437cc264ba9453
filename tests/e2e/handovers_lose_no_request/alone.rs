//! A load balancer without a control plane.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_tests::http::{self, Url};
use roadstead_tests::leftovers::processes;
use roadstead_tests::web::free_port;
use roadstead_tests::{Process, binaries, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Longer than a successor may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(45);

/// What a successor says that serves.
pub(crate) const TAKEN_OVER: &str = "taken over; the predecessor ends its requests";

/// A load balancer with a table file, and a target that answers `/slow` when it is let go.
pub(crate) struct Alone {
    pub(crate) balancer: Process,
    pub(crate) directory: PathBuf,
    pub(crate) url: Url,
    pub(crate) arrivals: watch::Receiver<usize>,
    pub(crate) release: watch::Sender<bool>,
}

impl Alone {
    pub(crate) async fn start(name: &str) -> anyhow::Result<Self> {
        Self::start_with(name, "", "health_check = false").await
    }

    /// Starts one with these settings; `more` goes on behind the target group of its table.
    pub(crate) async fn start_with(name: &str, settings: &str, more: &str) -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&directory)?;
        let (arrived, arrivals) = watch::channel(0);
        let (release, gate) = watch::channel(false);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let target = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, arrived.clone(), gate.clone()));
            }
        });
        let port = free_port()?;
        let table = format!(
            "[[listener]]\nport = {port}\n[[listener.rule]]\nforward = \"web\"\n\n\
             [[target_group]]\nname = \"web\"\ntargets = [\"{target}\"]\n{more}\n"
        );
        fs::write(directory.join("table.toml"), table)?;
        configure(&directory, &format!("workers = 2\n{settings}"))?;
        let config = directory.join("lb.toml").display().to_string();
        let log = directory.join("lb.log");
        let program = directory.join("ctl");
        symlink(binaries::ctl(), &program)?;
        let arguments = ["lb", "--config", &config];
        let alone = Self {
            balancer: Process::start("lb", &program, arguments, log)?,
            directory,
            url: Url::local(port, "/"),
            arrivals,
            release,
        };
        let url = alone.url.clone();
        eventually(DEADLINE, "an answer", async || {
            Ok(http::get(&url, DEADLINE).await.ok())
        })
        .await?;
        Ok(alone)
    }

    /// Waits until its log has said this so often.
    pub(crate) async fn has_said(&self, text: &str, times: usize) -> anyhow::Result<()> {
        let log = self.balancer.log();
        eventually(DEADLINE, text, async || {
            let said = fs::read_to_string(log)?.matches(text).count();
            Ok((said >= times).then_some(()))
        })
        .await
    }

    /// What is only in the command line of its processes.
    pub(crate) fn line(&self) -> String {
        self.directory.join("lb.toml").display().to_string()
    }

    /// Returns the process of its line that is not the one which was started first.
    pub(crate) fn successor(&mut self) -> anyhow::Result<Pid> {
        let old = i32::try_from(self.balancer.pid()?)?;
        let found = processes(&self.line())?;
        let others: Vec<_> = found.iter().filter(|one| one.pid != old).collect();
        let [successor] = others.as_slice() else {
            bail!("no successor of {old}, or several: {found:?}");
        };
        Ok(Pid::from_raw(successor.pid))
    }

    /// Puts another program under the name of the load balancer's, as an upgrade does.
    pub(crate) fn replace_program(&self, script: &str) -> anyhow::Result<()> {
        let next = self.directory.join("next");
        fs::write(&next, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755))?;
        Ok(fs::rename(next, self.directory.join("ctl"))?)
    }

    pub(crate) async fn finish(mut self) -> anyhow::Result<()> {
        assert!(self.balancer.terminate().await?.success());
        Ok(fs::remove_dir_all(&self.directory)?)
    }
}

/// Its directory is there when a test has failed, and then a successor may be too, which is no child of the test.
impl Drop for Alone {
    fn drop(&mut self) {
        if !self.directory.exists() {
            return;
        }
        eprint!("{}", self.balancer.log_tail());
        for process in processes(&self.line()).unwrap_or_default() {
            // It may be ending just now.
            kill(Pid::from_raw(process.pid), Signal::SIGKILL).ok();
        }
        fs::remove_dir_all(&self.directory).ok();
    }
}

pub(crate) fn configure(directory: &Path, settings: &str) -> anyhow::Result<()> {
    let table = directory.join("table.toml");
    let text = format!(
        "table = \"{}\"\nbind = \"127.0.0.1\"\n{settings}\n",
        table.display()
    );
    Ok(fs::write(directory.join("lb.toml"), text)?)
}

async fn answer(
    mut stream: TcpStream,
    arrived: watch::Sender<usize>,
    mut gate: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut head = Vec::new();
    while stream.read_buf(&mut head).await? > 0 {
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        if head.starts_with(b"GET /slow ") {
            arrived.send_modify(|number| *number += 1);
            gate.wait_for(|open| *open).await?;
        }
        head.clear();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            .await?;
    }
    Ok(())
}
