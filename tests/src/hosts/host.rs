//! One host: its processes, and what can happen to it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_client::Endpoint;
use roadstead_client::join::Token;

use super::endpoint;
use crate::cluster::Role;
use crate::image::Image;
use crate::leftovers::processes;
use crate::{Process, binaries};

/// For commands that act on containerd; handed to timeout(1).
const COMMAND_SECONDS: &str = "60";

/// One host.
#[derive(Debug)]
pub struct Host {
    /// Names the agent too.
    namespace: String,
    address: Ipv4Addr,
    directory: PathBuf,
    roles: BTreeMap<Role, Process>,
}

impl Host {
    pub(super) fn new(
        namespace: String,
        address: Ipv4Addr,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let directory = directory.join(&namespace);
        fs::create_dir(&directory)?;
        Ok(Self {
            namespace,
            address,
            directory,
            roles: BTreeMap::new(),
        })
    }

    /// Returns a host of which only its directory, and what runs there, is known.
    pub(super) fn left_behind(directory: &Path) -> Self {
        let namespace = directory.file_name().unwrap_or_default();
        Self {
            namespace: namespace.display().to_string(),
            address: Ipv4Addr::UNSPECIFIED,
            directory: directory.to_owned(),
            roles: BTreeMap::new(),
        }
    }

    /// Returns the host's address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Returns where its server listens for other hosts, if it has one.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        endpoint(self.address)
    }

    /// Returns a role, to kill it or to start it again.
    ///
    /// # Errors
    /// Fails when the host has none.
    pub fn role(&mut self, role: Role) -> anyhow::Result<&mut Process> {
        let process = self.roles.get_mut(&role);
        process.with_context(|| format!("{} has no {role:?}", self.namespace))
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn has(&self, role: Role) -> bool {
        self.roles.contains_key(&role)
    }

    pub(super) fn start_first_server(&mut self) -> anyhow::Result<()> {
        let (address, data) = (self.address.to_string(), self.data("controlplane"));
        let place = ["--address", address.as_str(), "--data-dir", data.as_str()];
        self.ctl(&[["controlplane", "init"].as_slice(), &place].concat(), "")?;
        self.start(Role::Server, "controlplane", &[])
    }

    pub(super) fn join_as_server(&mut self, to: &Endpoint, token: &Token) -> anyhow::Result<()> {
        let address = self.address.to_string();
        self.join("controlplane", to, token, &["--address", &address])?;
        self.start(Role::Server, "controlplane", &[])
    }

    pub(super) fn join_as_agent(&mut self, to: &Endpoint, token: &Token) -> anyhow::Result<()> {
        self.join("agent", to, token, &[])?;
        let (name, address) = (self.namespace.clone(), self.address.to_string());
        let flags = ["--name", name.as_str(), "--address", address.as_str()];
        self.start(Role::Agent, "agent", &flags)
    }

    pub(super) fn join_as_load_balancer(
        &mut self,
        to: &Endpoint,
        token: &Token,
    ) -> anyhow::Result<()> {
        self.join("lb", to, token, &[])?;
        self.start(Role::LoadBalancer, "lb", &[])
    }

    /// Returns a token, made by the server on this host.
    pub(super) fn token(&self, role: &str) -> anyhow::Result<Token> {
        let text = self.ctl(&["token", "create", "--role", role], "")?;
        Ok(text.trim().parse()?)
    }

    /// Returns the id of its container instance.
    ///
    /// # Errors
    /// Fails when it has none.
    pub fn container_instance_id(&self) -> anyhow::Result<String> {
        let path = Path::new(&self.data("agent")).join("container-instance-id");
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(text.trim().to_owned())
    }

    pub(super) fn import(&self, image: &Image) -> anyhow::Result<()> {
        let archive = self.directory.join("image.tar");
        fs::write(&archive, image.archive()?)?;
        let (archive, data) = (archive.display().to_string(), self.data("agent"));
        self.ctl(&["image", "import", &archive, "--data-dir", &data], "")?;
        Ok(())
    }

    /// Runs `ctl` on this host, against the server on it, with something on its standard input; returns what it prints.
    ///
    /// # Errors
    /// Fails when the command does, with what it says.
    pub fn ctl(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let socket = Path::new(&self.data("controlplane")).join("server.sock");
        let mut child = Command::new("timeout")
            .arg(COMMAND_SECONDS)
            .args(self.entering())
            .args(arguments)
            .env("ROADSTEAD_ENDPOINT", format!("unix:{}", socket.display()))
            .env("HOME", &self.directory)
            .env_remove("ROADSTEAD_CONTEXT")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run timeout")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "`ctl {}` on {} ended with {}: {}",
            arguments.join(" "),
            self.namespace,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(super) async fn end(&mut self, role: Role) -> anyhow::Result<()> {
        if let Some(process) = self.roles.get_mut(&role) {
            let status = process.terminate().await?;
            ensure!(
                status.success(),
                "{role:?} of {} ended with {status}:\n{}",
                self.namespace,
                process.log_tail()
            );
        }
        Ok(())
    }

    pub(super) fn kill_all(&mut self) {
        self.roles.clear();
    }

    /// Removes all that its agent made, and its disk.
    pub(super) fn remove(&self) -> anyhow::Result<()> {
        self.unmount_disk()?;
        let data = self.data("agent");
        if fs::exists(&data)? {
            self.ctl(&["agent", "remove", "--data-dir", &data], "")?;
        }
        Ok(())
    }

    pub(super) fn log_tails(&self) -> String {
        self.roles.values().map(Process::log_tail).collect()
    }

    /// Copies the whole logs of its roles to a directory.
    pub(super) fn keep_logs(&self, to: &Path) -> anyhow::Result<()> {
        for role in self.roles.values() {
            let name = role.log().file_name().unwrap_or_default();
            let name = format!("{}-{}", self.namespace, name.display());
            fs::copy(role.log(), to.join(name))?;
        }
        Ok(())
    }

    /// Kills the agent's own containerd, as nobody can prepare for.
    ///
    /// # Errors
    /// Fails when it does not run.
    pub fn kill_containerd(&self) -> anyhow::Result<()> {
        let ours = processes(&self.namespace)?.into_iter();
        let pids: Vec<i32> = ours
            .filter(|process| process.runs("containerd"))
            .map(|process| process.pid)
            .collect();
        ensure!(!pids.is_empty(), "no containerd on {}", self.namespace);
        for pid in pids {
            kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        }
        Ok(())
    }

    fn join(
        &self,
        command: &str,
        to: &Endpoint,
        token: &Token,
        more: &[&str],
    ) -> anyhow::Result<()> {
        let (to, data) = (to.to_string(), self.data(command));
        let arguments = [command, "join", "--server", &to, "--data-dir", &data];
        self.ctl(&[arguments.as_slice(), more].concat(), &token.to_string())?;
        Ok(())
    }

    fn start(&mut self, role: Role, command: &str, more: &[&str]) -> anyhow::Result<()> {
        let [nsenter, into, ctl] = self.entering();
        let data = self.data(command);
        let mut arguments = vec![into, ctl];
        arguments.extend([command, "--data-dir", &data].map(str::to_owned));
        arguments.extend(more.iter().map(|&flag| flag.to_owned()));
        let log = self.directory.join(format!("{command}.log"));
        let name = format!("{command} of {}", self.namespace);
        let process = Process::start(&name, Path::new(&nsenter), arguments, log)?;
        self.roles.insert(role, process);
        Ok(())
    }

    /// A command that becomes `ctl` in the host's network namespace. `ip netns exec` would hide the cgroups.
    fn entering(&self) -> [String; 3] {
        let into = format!("--net=/run/netns/{}", self.namespace);
        let ctl = binaries::ctl().display().to_string();
        ["nsenter".to_owned(), into, ctl]
    }

    /// Returns the data directory of a role, by the command that starts it.
    #[must_use]
    pub fn data_directory(&self, command: &str) -> PathBuf {
        self.directory.join(command)
    }

    fn data(&self, command: &str) -> String {
        self.data_directory(command).display().to_string()
    }
}
