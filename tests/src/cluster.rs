//! One host with the whole of Roadstead on it: a server, an agent with its own containerd, a load balancer.
//!
//! Each role is a process of the real `ctl`, so that a test can kill it. A test ends with `finish`, which also checks
//! that nothing is left on the machine; a cluster that is dropped without it belongs to a failed test, and shows its
//! logs.

mod place;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, ensure};
use roadstead_client::proto::ecs::{ContainerInstance, CreateClusterRequest};

use self::place::Place;
use crate::image::Image;
use crate::leftovers::{leftovers, processes};
use crate::{Client, Process, binaries, eventually, sample};

const START_DEADLINE: Duration = Duration::from_secs(30);
/// Not the default, so that a `ctl dev` on the same machine is left alone.
const SUBNET: &str = "172.29.0.0/16";

/// What can be killed and started again; in the order in which an operator stops them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    LoadBalancer,
    Agent,
    Server,
}

/// A running cluster named `default` with one container instance.
#[derive(Debug)]
pub struct Cluster {
    pub client: Client,
    roles: BTreeMap<Role, Process>,
    place: Place,
    finished: bool,
}

impl Cluster {
    /// Starts every role, and returns when they have found each other and the sample images v1 and v2 are there.
    ///
    /// # Errors
    /// Fails when a role does not come up.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// Does the same, with more flags for the load balancer.
    ///
    /// # Errors
    /// Fails when a role does not come up.
    pub async fn start_with(flags: &[&str]) -> anyhow::Result<Self> {
        let mut cluster = Self::control_plane_alone().await?;
        cluster.add_agent(&[]).await?;
        cluster.add_load_balancer(flags).await?;
        let binary = fs::read(binaries::sample_service())?;
        for version in ["v1", "v2"] {
            cluster.import(&sample::image(version, &binary)?)?;
        }
        Ok(cluster)
    }

    /// Starts only the server, and creates the cluster `default`.
    ///
    /// # Errors
    /// Fails when the server does not come up.
    pub async fn control_plane_alone() -> anyhow::Result<Self> {
        let place = Place::new()?;
        let mut cluster = Self {
            client: Client::new(&place.socket())?,
            roles: BTreeMap::new(),
            place,
            finished: false,
        };
        let listen = cluster.place.endpoint();
        cluster.add(
            Role::Server,
            "controlplane",
            &["--id", "1", "--listen", &listen],
        )?;
        let client = &cluster.client;
        eventually(START_DEADLINE, "the server", async || {
            let request = CreateClusterRequest::default();
            client.ecs().await?.create_cluster(request).await?;
            Ok(Some(()))
        })
        .await?;
        Ok(cluster)
    }

    /// Starts the agent, with `more` flags, and waits until its container instance is connected.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn add_agent(&mut self, more: &[&str]) -> anyhow::Result<()> {
        let (name, endpoint) = (self.place.name.clone(), self.place.endpoint());
        let mut arguments = vec!["--name", &name, "--endpoint", &endpoint];
        arguments.extend(["--subnet", SUBNET, "--address", "127.0.0.1"]);
        arguments.extend(more);
        self.add(Role::Agent, "agent", &arguments)?;
        let client = &self.client;
        eventually(START_DEADLINE, "the container instance", async || {
            Ok(has_connected_instance(client).await?.then_some(()))
        })
        .await
    }

    /// Starts the load balancer, with `more` flags, and waits until the control plane knows it.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn add_load_balancer(&mut self, more: &[&str]) -> anyhow::Result<()> {
        let endpoint = self.place.endpoint();
        let arguments = [&["--endpoint", &endpoint], more].concat();
        self.add(Role::LoadBalancer, "lb", &arguments)?;
        let client = &self.client;
        eventually(START_DEADLINE, "the load balancer", async || {
            let connected = client.load_balancer_nodes().await? > 0;
            Ok(connected.then_some(()))
        })
        .await
    }

    /// Puts an image into the agent's containerd.
    ///
    /// # Errors
    /// Fails as `ctl image import` does.
    pub fn import(&self, image: &Image) -> anyhow::Result<()> {
        let archive = self.place.directory.join("image.tar");
        fs::write(&archive, image.archive()?)?;
        let archive = archive.display().to_string();
        self.place.on_agent(&["image", "import", &archive])
    }

    /// Returns a role, to kill it or to start it again.
    ///
    /// # Errors
    /// Fails when this cluster was started without it.
    pub fn role(&mut self, role: Role) -> anyhow::Result<&mut Process> {
        let process = self.roles.get_mut(&role);
        process.with_context(|| format!("this cluster has no {role:?}"))
    }

    /// Returns the process ids of the agent's own containerd, without its shims.
    ///
    /// # Errors
    /// Fails when /proc cannot be read.
    pub fn containerd(&self) -> anyhow::Result<Vec<i32>> {
        let ours = processes(&self.place.name)?.into_iter();
        let containerd = ours.filter(|process| process.runs("containerd"));
        Ok(containerd.map(|process| process.pid).collect())
    }

    /// Returns the server's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.place.socket()
    }

    /// Returns the socket of the agent's own containerd.
    #[must_use]
    pub fn containerd_socket(&self) -> PathBuf {
        PathBuf::from(format!("/run/{}-agent/containerd.sock", self.place.name))
    }

    /// Returns a directory for a test's own files; it goes with the cluster.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.place.directory
    }

    /// Runs `ctl` against this cluster's control plane.
    ///
    /// # Errors
    /// Fails when `ctl` cannot be run; a refusal is not an error here.
    pub fn ctl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.place.ctl(arguments)
    }

    /// Ends the roles as an operator would, removes everything, and checks that nothing is left.
    ///
    /// # Errors
    /// Fails when a role does not end with success, or something is left on the machine.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        for (role, process) in &mut self.roles {
            let status = process.terminate().await?;
            ensure!(status.success(), "{role:?} ended with {status}");
        }
        self.place.remove()?;
        let left = leftovers(&self.place.name)?;
        ensure!(left.is_empty(), "left on the machine:\n{}", left.join("\n"));
        self.finished = true;
        Ok(())
    }

    fn add(&mut self, role: Role, command: &str, more: &[&str]) -> anyhow::Result<()> {
        let data = self.place.data(command);
        let mut arguments = vec![command, "--data-dir", &data];
        arguments.extend(more);
        let log = self.place.directory.join(format!("{command}.log"));
        let process = Process::start(command, &self.place.ctl, arguments, log)?;
        self.roles.insert(role, process);
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for process in self.roles.values() {
            eprint!("{}", process.log_tail());
        }
        self.roles.clear();
        // After a `finish` that found something left, the directory is gone already.
        if self.place.directory.exists()
            && let Err(error) = self.place.remove()
        {
            eprintln!("cannot clean up: {error:#}");
        }
    }
}

async fn has_connected_instance(client: &Client) -> anyhow::Result<bool> {
    let instances = client.container_instances().await?;
    let connected = |one: &ContainerInstance| one.agent_connected == Some(true);
    Ok(!instances.is_empty() && instances.iter().all(connected))
}
