//! Several hosts on one machine: network namespaces joined by a bridge, each with `ctl` processes and a containerd of
//! its own. A test says what happens to them; every process keeps a log, which is shown when a test fails.

mod faults;
mod host;
mod logs;
mod network;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_client::join::{self, Applicant, Token};
use roadstead_client::{Credentials, DEFAULT_PORT, Endpoint};

pub use self::faults::SlowDisk;
pub use self::host::Host;
use self::network::Network;
use crate::client::Client;
use crate::cluster::Role;
use crate::leftovers::{leftovers, processes, runs};
use crate::{binaries, eventually, sample};

const START_DEADLINE: Duration = Duration::from_secs(60);
const CLUSTER: &str = "default";
/// Of the names of hosts and all that is on them; the id of the test's process follows.
const PREFIX: &str = "rh";

/// The hosts of one test.
#[derive(Debug)]
pub struct Hosts {
    hosts: Vec<Host>,
    directory: PathBuf,
    credentials: Option<Credentials>,
    name: String,
    finished: bool,
    // Dropped last: the processes live in it.
    _network: Network,
}

impl Hosts {
    /// Makes so many hosts; nothing runs on them.
    ///
    /// # Errors
    /// Fails when the network cannot be made.
    pub fn new(count: u8) -> anyhow::Result<Self> {
        sweep()?;
        let name = format!("{PREFIX}{}", std::process::id());
        let directory = Path::new("/tmp").join(&name);
        fs::create_dir(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let network = Network::new(&name)?;
        let mut hosts = Vec::new();
        for number in 1..=count {
            let (namespace, address) = network.add_host(number)?;
            hosts.push(Host::new(namespace, address, &directory)?);
        }
        Ok(Self {
            hosts,
            directory,
            credentials: None,
            name,
            finished: false,
            _network: network,
        })
    }

    /// Three servers on the hosts 0 to 2, agents on 3 and 4, which have the sample images, and a load balancer on 0.
    ///
    /// # Errors
    /// Fails when something does not come up.
    pub async fn five() -> anyhow::Result<Self> {
        let mut hosts = Self::new(5)?;
        hosts.start_control_plane(&[0, 1, 2]).await?;
        for host in [3, 4] {
            hosts.start_agent(host).await?;
        }
        hosts.start_load_balancer(0).await?;
        Ok(hosts)
    }

    /// Returns a host.
    ///
    /// # Panics
    /// Panics when there is none of this number.
    pub fn host(&mut self, number: usize) -> &mut Host {
        &mut self.hosts[number]
    }

    /// Makes the first of these hosts the first server, and lets the others join.
    ///
    /// # Errors
    /// Fails when a server does not become a member.
    pub async fn start_control_plane(&mut self, hosts: &[usize]) -> anyhow::Result<()> {
        let [first, others @ ..] = hosts else {
            return Ok(());
        };
        self.hosts[*first].start_first_server()?;
        self.create_cluster(*first).await?;
        let token = self.hosts[*first].token("operator")?;
        let endpoint = self.hosts[*first].endpoint();
        let applicant = Applicant::Operator("test".to_owned());
        let joined = Box::pin(join::join(&endpoint, &token, applicant)).await?;
        self.credentials = Some(joined.credentials);
        self.add_servers(*first, others).await
    }

    /// Lets these hosts join as servers, one after the other, by the server on `first`.
    ///
    /// # Errors
    /// Fails when a server does not become a member.
    pub async fn add_servers(&mut self, first: usize, others: &[usize]) -> anyhow::Result<()> {
        let endpoint = self.hosts[first].endpoint();
        for host in others {
            let token = self.hosts[first].token("server")?;
            self.hosts[*host].join_as_server(&endpoint, &token)?;
            let expected = self.servers().len();
            let client = self.client()?;
            eventually(START_DEADLINE, "the new member", async || {
                let members = client.members().await?.into_iter();
                let voters = members.filter(|member| member.voter == Some(true));
                Ok((voters.count() == expected).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Lets a host join as an agent, and waits until its container instance is there with the sample images.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn start_agent(&mut self, host: usize) -> anyhow::Result<()> {
        let (token, endpoint) = self.invitation("agent")?;
        self.hosts[host].join_as_agent(&endpoint, &token)?;
        let binary = fs::read(binaries::sample_service())?;
        for version in ["v1", "v2"] {
            self.hosts[host].import(&sample::image(version, &binary)?)?;
        }
        let client = self.client()?;
        let id = self.hosts[host].container_instance_id()?;
        eventually(START_DEADLINE, "the container instance", async || {
            let instances = client.container_instances().await?;
            let ours = instances.into_iter().find(|one| {
                let arn = one.container_instance_arn.as_deref();
                arn.is_some_and(|arn| arn.ends_with(&id))
            });
            Ok(ours
                .filter(|one| one.agent_connected == Some(true))
                .map(|_| ()))
        })
        .await
    }

    /// Lets a host join as a load balancer, and waits until the control plane knows it.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn start_load_balancer(&mut self, host: usize) -> anyhow::Result<()> {
        let client = self.client()?;
        let before = client.load_balancer_nodes().await?;
        let (token, endpoint) = self.invitation("load-balancer")?;
        self.hosts[host].join_as_load_balancer(&endpoint, &token)?;
        eventually(START_DEADLINE, "the load balancer", async || {
            Ok((client.load_balancer_nodes().await? > before).then_some(()))
        })
        .await
    }

    /// Returns the control plane, as an operator on another host sees it: by every server, over TLS.
    ///
    /// # Errors
    /// Fails before there is a control plane.
    pub fn client(&self) -> anyhow::Result<Client> {
        let credentials = self.credentials.clone();
        let credentials = credentials.context("there is no control plane yet")?;
        Ok(Client::remote(self.servers(), credentials))
    }

    /// Returns the control plane as seen by one of its servers only.
    ///
    /// # Errors
    /// Fails before there is a control plane.
    pub fn client_of(&self, host: usize) -> anyhow::Result<Client> {
        let credentials = self.credentials.clone();
        let credentials = credentials.context("there is no control plane yet")?;
        Ok(Client::remote(
            vec![self.hosts[host].endpoint()],
            credentials,
        ))
    }

    /// Returns the number of the host whose server leads.
    ///
    /// # Errors
    /// Fails when none does in time.
    pub async fn leader(&self) -> anyhow::Result<usize> {
        let client = self.client()?;
        let endpoint = eventually(START_DEADLINE, "a leader", async || {
            let members = client.members().await?;
            let leader = members.into_iter().find(|one| one.leader == Some(true));
            Ok(leader.and_then(|leader| leader.endpoint))
        })
        .await?;
        let mut hosts = self.hosts.iter();
        hosts
            .position(|host| host.endpoint().to_string() == endpoint)
            .context("the leader is on no host")
    }

    /// Ends all roles as an operator would, removes everything, and checks that nothing is left.
    ///
    /// # Errors
    /// Fails when a role does not end with success, or something is left on the machine.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        for role in [Role::LoadBalancer, Role::Agent, Role::Server] {
            for host in &mut self.hosts {
                host.end(role).await?;
            }
        }
        for host in &self.hosts {
            host.remove()?;
        }
        fs::remove_dir_all(&self.directory)?;
        self.finished = true;
        let name = self.name.clone();
        drop(self);
        let left = leftovers(&name)?;
        ensure!(left.is_empty(), "left on the machine:\n{}", left.join("\n"));
        Ok(())
    }

    fn servers(&self) -> Vec<Endpoint> {
        let servers = self.hosts.iter().filter(|host| host.has(Role::Server));
        servers.map(Host::endpoint).collect()
    }

    fn invitation(&self, role: &str) -> anyhow::Result<(Token, Endpoint)> {
        let mut servers = self.hosts.iter().filter(|host| host.has(Role::Server));
        let server = servers.next().context("there is no control plane yet")?;
        Ok((server.token(role)?, server.endpoint()))
    }

    async fn create_cluster(&self, host: usize) -> anyhow::Result<()> {
        let host = &self.hosts[host];
        eventually(START_DEADLINE, "the first server", async || {
            host.ctl(&["cluster", "create", CLUSTER], "")?;
            Ok(Some(()))
        })
        .await
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // The tails for who reads the report, the whole for who looks closer.
        let kept = logs::directory();
        for host in &mut self.hosts {
            eprint!("{}", host.log_tails());
            if let Err(error) = kept.as_ref().map_or(Ok(()), |to| host.keep_logs(to)) {
                eprintln!("cannot keep a log: {error:#}");
            }
            host.kill_all();
            if let Err(error) = host.remove() {
                eprintln!("cannot clean up: {error:#}");
            }
        }
        // Kept where something could not be removed; the next run of this machine's tests may look at it.
        fs::remove_dir_all(&self.directory).ok();
    }
}

/// Removes the hosts whose test process is gone: killed by hand, or by the runner after its timeout.
fn sweep() -> anyhow::Result<()> {
    for entry in fs::read_dir("/tmp").context("cannot read /tmp")? {
        let entry = entry?;
        let name = entry.file_name().display().to_string();
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_none_or(runs) {
            continue;
        }
        // Only the roles have this flag: containerd, its shims and the loggers are for `agent remove`.
        let roles = format!("--data-dir {}/", entry.path().display());
        for process in processes(&roles)? {
            // It fails only for a process that has just ended by itself.
            kill(Pid::from_raw(process.pid), Signal::SIGKILL).ok();
        }
        for host in fs::read_dir(entry.path())? {
            let removed = Host::left_behind(&host?.path()).remove();
            if let Err(error) = removed {
                eprintln!("cannot remove what an earlier test left: {error:#}");
            }
        }
        drop(Network::left_behind(&name));
        fs::remove_dir_all(entry.path())?;
    }
    Ok(())
}

/// Returns where a server at `address` listens for other hosts.
fn endpoint(address: Ipv4Addr) -> Endpoint {
    Endpoint::Tls {
        host: address.to_string(),
        port: DEFAULT_PORT,
    }
}
