//! One container instance: an agent process with a containerd of its own and a control plane.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_agent::Config;

use crate::control_plane::ControlPlane;
use crate::{image, tasks};

pub(crate) struct Instance {
    pub control_plane: Arc<ControlPlane>,
    pub config: Config,
    pub first_port: u16,
    agent: Option<Child>,
    directory: tempfile::TempDir,
}

impl Instance {
    /// Starts everything, with the image at hand.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts everything, with credentials for registries.
    pub(crate) async fn start_with(credentials: Option<&str>) -> Self {
        let mut instance = Self::prepare();
        if let Some(credentials) = credentials {
            let path = instance.directory.path().join("config.json");
            std::fs::write(path, credentials).unwrap();
        }
        let archive = instance.directory.path().join("box.tar");
        image::archive(&archive, tasks::IMAGE);
        let names = roadstead_agent::import_image(&instance.config, &archive).await;
        assert_eq!(names.unwrap(), ["docker.io/library/box:v1"]);
        instance.start_agent();
        instance
    }

    fn prepare() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests need root");
        for program in ["containerd", "runc", "nft"] {
            let found = Command::new(program).arg("--version").output();
            assert!(found.is_ok(), "{program} is not installed");
        }
        let directory = tempfile::Builder::new().prefix("rs").tempdir().unwrap();
        let number: u16 = rand::random();
        let [a, b] = number.to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let config = Config {
            name: format!("rst{number:04x}"),
            subnet: format!("10.{a}.{b}.0/24").parse().unwrap(),
            ..Config::new(
                "default".into(),
                directory.path().join("data"),
                address,
                program(),
            )
        };
        Self {
            control_plane: ControlPlane::start(&directory.path().join("sock")),
            config,
            first_port: 20_000 + number % 100 * 100,
            agent: None,
            directory,
        }
    }

    pub(crate) fn start_agent(&mut self) {
        let agent = Command::new(program())
            .args(["run", &self.config.name])
            .arg(&self.config.data_dir)
            .arg(self.directory.path().join("sock"))
            .args([self.config.subnet.to_string(), self.first_port.to_string()])
            .env("RUST_LOG", "warn,roadstead_agent=info")
            .stdin(Stdio::null())
            .spawn();
        self.agent = Some(agent.expect("the agent can be started"));
    }

    /// Kills the agent as nobody can prepare for.
    pub(crate) fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().unwrap();
            agent.wait().unwrap();
        }
    }

    pub(crate) fn kill_containerd(&self) {
        let path = self.config.data_dir.join("containerd/pid");
        let pid: i32 = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    /// Removes everything and checks that nothing is left.
    pub(crate) async fn remove(mut self) {
        self.kill_agent();
        roadstead_agent::remove(&self.config).await.unwrap();
        crate::leftovers::assert_none(&self.config);
    }

    /// Returns the process ids of a container's first process and its children.
    pub(crate) fn pids(&self, container: &str) -> Vec<String> {
        let task = &container[..32];
        let name = &self.config.name;
        let v1 = format!("/sys/fs/cgroup/memory/{name}/{task}/{container}/cgroup.procs");
        let v2 = format!("/sys/fs/cgroup/{name}/{task}/{container}/cgroup.procs");
        let text = std::fs::read_to_string(v1).or_else(|_| std::fs::read_to_string(v2));
        text.unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // After a failed test: the next one must not find anything. The data goes with the directory.
        if let Some(mut agent) = self.agent.take() {
            agent.kill().ok();
            agent.wait().ok();
        }
        if self.config.data_dir.exists() {
            let config = self.config.clone();
            let removal = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(roadstead_agent::remove(&config)).ok();
            });
            removal.join().ok();
        }
    }
}

/// The agent's process, which `cargo test` builds as an example.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let program = target.join("examples/agent");
    assert!(
        program.exists(),
        "{} is not built: cargo build -p roadstead-agent --examples",
        program.display()
    );
    program
}

/// Waits until something has come true.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "not {what}");
        look.tick().await;
    }
}

/// Fetches a page; `None` unless it is answered with 200.
pub(crate) fn get(address: &str, port: u32) -> Option<String> {
    use std::io::{Read, Write};
    let port = u16::try_from(port).unwrap();
    let address: IpAddr = address.parse().unwrap();
    let deadline = Duration::from_secs(2);
    let mut stream =
        std::net::TcpStream::connect_timeout(&(address, port).into(), deadline).ok()?;
    stream.set_read_timeout(Some(deadline)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains("200 OK").then(|| body.trim().to_owned())
}
