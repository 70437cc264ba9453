//! A containerd of the agent's own, for machines where nobody runs one.
//!
//! It is a daemon, not a child: it leads a session of its own and outlives the agent, which finds it
//! again by its socket. Its root lies in the data directory, its state and socket in `/run`.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use containerd_client::services::v1::SubscribeRequest;
use containerd_client::services::v1::events_client::EventsClient;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};
use roadstead_client::Backoff;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::client::{Client, ContainerdError};
use crate::config::Config;
use crate::reason::chain;

const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// A containerd of the agent's own cannot be had, or not be stopped.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error("cannot {operation} {path}")]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot start containerd; is it installed?")]
    Spawn(#[source] io::Error),
    #[error("containerd was started but does not answer; see {log}")]
    Silent {
        log: PathBuf,
        #[source]
        cause: ContainerdError,
    },
    #[error("containerd with pid {0} does not stop")]
    Stuck(i32),
}

/// A containerd of the agent's own.
#[derive(Debug, Clone)]
pub struct Own {
    directory: PathBuf,
    run_dir: PathBuf,
    namespace: String,
}

impl Own {
    /// Returns the containerd that belongs to an agent; it may not be running.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            directory: config.data_dir.join("containerd"),
            run_dir: config.run_dir(),
            namespace: config.name.clone(),
        }
    }

    /// Returns where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run_dir.join("containerd.sock")
    }

    /// Makes it run, unless it does.
    ///
    /// # Errors
    /// Fails when it cannot be started or does not answer in time.
    pub async fn ensure(&self) -> Result<(), OwnError> {
        for directory in [&self.directory, &self.run_dir] {
            fs::create_dir_all(directory).map_err(failed("create", directory))?;
        }
        // Two starters must not both find it missing; whoever waits here waits for a start.
        let path = self.directory.join("lock");
        let file = fs::File::create(&path).map_err(failed("create", &path))?;
        let locked =
            tokio::task::spawn_blocking(move || Flock::lock(file, FlockArg::LockExclusive));
        let _lock = locked
            .await
            .map_err(|error| failed("lock", &path)(error.into()))?
            .map_err(|(_, errno)| failed("lock", &path)(errno.into()))?;
        if self.answers().await.is_ok() {
            return Ok(());
        }
        // One that is there and hangs would keep a new one from its root.
        self.stop().await?;
        self.spawn()?;
        let started = Instant::now();
        while let Err(cause) = self.answers().await {
            if started.elapsed() > START_DEADLINE {
                let log = self.log();
                return Err(OwnError::Silent { log, cause });
            }
            sleep(POLL).await;
        }
        info!(socket = %self.socket().display(), "started containerd");
        Ok(())
    }

    /// Starts it again whenever it dies, until it is told to stop.
    pub async fn keep_running(&self, stop: &CancellationToken) {
        let keep = async {
            let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
            loop {
                match self.ensure().await {
                    Ok(()) => {
                        self.until_death().await;
                        backoff.reset();
                        warn!("containerd died");
                    }
                    Err(error) => warn!(error = chain(&error), "containerd does not start"),
                }
                sleep(backoff.pause()).await;
            }
        };
        tokio::select! {
            () = keep => {}
            () = stop.cancelled() => {}
        }
    }

    /// Stops it; one that does not run is a success.
    ///
    /// # Errors
    /// Fails when it neither obeys nor dies.
    pub async fn stop(&self) -> Result<(), OwnError> {
        let Some(pid) = self.running().await else {
            return Ok(());
        };
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            match kill(pid, signal) {
                Ok(()) => {}
                Err(Errno::ESRCH) => return Ok(()),
                Err(_) => return Err(OwnError::Stuck(pid.as_raw())),
            }
            let asked = Instant::now();
            while asked.elapsed() < STOP_DEADLINE {
                if command_line(pid).is_empty() {
                    return Ok(());
                }
                sleep(POLL).await;
            }
        }
        Err(OwnError::Stuck(pid.as_raw()))
    }

    /// Returns the process: the one that listens on the socket, which the kernel knows best, or the
    /// one that was started last and does not listen.
    async fn running(&self) -> Option<Pid> {
        let listener = match UnixStream::connect(self.socket()).await {
            Ok(stream) => stream.peer_cred().ok().and_then(|peer| peer.pid()),
            Err(_) => None,
        };
        listener.map(Pid::from_raw).or_else(|| self.started())
    }

    /// Returns the process on record, if it is still ours: its number may be another's by now.
    fn started(&self) -> Option<Pid> {
        let pid: i32 = fs::read_to_string(self.pid_file())
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let pid = Pid::from_raw(pid);
        let ours = command_line(pid).contains(&*self.config_file().to_string_lossy());
        ours.then_some(pid)
    }

    async fn answers(&self) -> Result<(), ContainerdError> {
        let client = Client::connect(&self.socket(), &self.namespace).await?;
        client.version().await.map(drop)
    }

    fn spawn(&self) -> Result<(), OwnError> {
        let config_file = self.config_file();
        fs::write(&config_file, self.config()).map_err(failed("write", &config_file))?;
        let log = self.log();
        let log_file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(failed("open", &log))?;
        let for_errors = log_file.try_clone().map_err(failed("open", &log))?;
        let mut command = Command::new("containerd");
        command
            .arg("--config")
            .arg(&config_file)
            .stdin(Stdio::null())
            .stdout(log_file)
            .stderr(for_errors);
        #[expect(
            unsafe_code,
            reason = "the standard library has no way to lead a session"
        )]
        // SAFETY: setsid(2) is async-signal-safe, and the closure does nothing else.
        unsafe {
            command.pre_exec(|| setsid().map(drop).map_err(io::Error::from));
        }
        let mut child = command.spawn().map_err(OwnError::Spawn)?;
        let pid_file = self.pid_file();
        fs::write(&pid_file, child.id().to_string()).map_err(failed("write", &pid_file))?;
        // Reaps it if it dies before the agent; a thread that waits costs nothing else.
        std::thread::Builder::new()
            .name("containerd".to_owned())
            .stack_size(64 << 10)
            .spawn(move || child.wait())
            .map_err(OwnError::Spawn)?;
        Ok(())
    }

    /// Waits on a stream of events that never has any: it ends with containerd.
    async fn until_death(&self) {
        let Ok(client) = Client::connect(&self.socket(), &self.namespace).await else {
            return;
        };
        let nothing = SubscribeRequest {
            filters: vec![r#"topic=="/nothing""#.to_owned()],
        };
        let mut events = EventsClient::new(client.channel());
        if let Ok(stream) = events.subscribe(client.endless(nothing)).await {
            let mut stream = stream.into_inner();
            while let Ok(Some(_)) = stream.message().await {}
        }
    }

    fn config(&self) -> String {
        let (directory, run_dir) = (self.directory.display(), self.run_dir.display());
        // What an orchestrator other than this one needs is switched off: it costs memory and start time.
        format!(
            r#"version = 2
root = "{directory}/root"
state = "{run_dir}/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "{run_dir}/containerd.sock"

[debug]
level = "warn"
"#
        )
    }

    fn config_file(&self) -> PathBuf {
        self.directory.join("config.toml")
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.join("pid")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
}

/// Returns how a process was started; empty when it has ended, also when nobody has reaped it.
fn command_line(pid: Pid) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).into_owned()
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OwnError + use<> {
    let path = path.to_owned();
    move |cause| OwnError::File {
        operation,
        path,
        cause,
    }
}
