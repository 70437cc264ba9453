//! Containers by containerd, over gRPC.
//!
//! `client` is the connection; `content`, `snapshot` and `lease` are what images are stored in; `image`
//! brings them in; `spec` says what runc shall do, and `launch`, `process` and `sweep` have it done.
//! `own` starts a containerd where there is none.

mod cgroup;
mod client;
mod content;
mod files;
mod image;
mod launch;
mod lease;
mod own;
mod process;
mod shims;
mod snapshot;
mod spec;
mod sweep;
mod user;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use containerd_client::services::v1::ListTasksRequest;
use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::types::v1::Status;
use tracing::warn;

use crate::config::{self, Config};
use crate::network::Network;
use crate::reason::chain;
use crate::runtime::{ContainerId, Found, Launch, Runtime, RuntimeError};
use crate::task::{Attachment, Image, TaskId};
use cgroup::Cgroups;
pub use client::ContainerdError;
use client::{Client, answer};
pub use image::{ImageError, Images};
pub use own::{Own, OwnError};
use shims::Shims;

/// Containers by containerd.
#[derive(Debug)]
pub struct Containerd {
    client: Client,
    images: Arc<Images>,
    network: Arc<Network>,
    cgroups: Cgroups,
    shims: Shims,
    oci_runtime: Option<PathBuf>,
    logger: PathBuf,
}

impl Containerd {
    /// Connects to the containerd of a configuration; one of the agent's own must run.
    ///
    /// # Errors
    /// Fails when containerd does not answer.
    pub async fn connect(config: &Config, network: Arc<Network>) -> Result<Self, ContainerdError> {
        let client = connect(config).await?;
        let images = Images::new(client.clone(), config.registry_auth.clone());
        Ok(Self {
            client,
            images: Arc::new(images),
            network,
            cgroups: Cgroups::new(&config.name),
            shims: Shims::new(&socket(config), &config.name),
            oci_runtime: config.oci_runtime.clone(),
            logger: config.logger.clone(),
        })
    }

    /// Removes the control group of a task that has no containers any more.
    pub(crate) fn remove_cgroup(&self, task: &TaskId) {
        self.cgroups.remove(Some(task));
    }

    /// Removes the agent's control group, when all tasks are gone.
    pub(crate) fn remove_cgroups(&self) {
        self.cgroups.remove(None);
    }

    fn network_path(&self, id: &ContainerId) -> PathBuf {
        self.network.path(id)
    }

    async fn states(&self) -> Result<BTreeMap<ContainerId, Status>, ContainerdError> {
        let list = ListTasksRequest::default();
        let mut tasks = TasksClient::new(self.client.channel());
        let listed = answer(tasks.list(self.client.request(list)).await)?;
        let tasks = listed.tasks.iter();
        Ok(tasks
            .filter_map(|task| {
                // Tasks are listed with the container's id in one field or the other.
                let id = ContainerId::parse(&task.id);
                let id = id.or_else(|| ContainerId::parse(&task.container_id));
                id.map(|id| (id, task.status()))
            })
            .collect())
    }
}

/// Connects to the images alone.
pub(crate) async fn images(config: &Config) -> Result<Images, ContainerdError> {
    let client = connect(config).await?;
    Ok(Images::new(client, config.registry_auth.clone()))
}

async fn connect(config: &Config) -> Result<Client, ContainerdError> {
    Client::connect(&socket(config), &config.name).await
}

fn socket(config: &Config) -> PathBuf {
    match &config.containerd {
        config::Containerd::Socket(path) => path.clone(),
        config::Containerd::Own => Own::of(config).socket(),
    }
}

impl Runtime for Containerd {
    async fn restore(
        &self,
        kept: &BTreeMap<ContainerId, Attachment>,
    ) -> Result<BTreeMap<ContainerId, Found>, RuntimeError> {
        let error = |error: ContainerdError| {
            if error.is_absence() || error.is_timeout() {
                RuntimeError::Unavailable(error.into())
            } else {
                RuntimeError::Restore(error.into())
            }
        };
        let ids = self.container_ids().await.map_err(error)?;
        let states = self.states().await.map_err(error)?;
        let known = states.keys().cloned().collect();
        self.shims.kill_strays(&known);
        let mut found = BTreeMap::new();
        for id in ids {
            if !kept.contains_key(&id) {
                match self.clear(&id).await {
                    Err(error @ RuntimeError::Unavailable(_)) => return Err(error),
                    // One that cannot be killed must not keep the agent from all the others.
                    Err(error) => {
                        warn!(container = %id, error = chain(&error), "a leftover stays behind");
                    }
                    Ok(()) => {}
                }
                continue;
            }
            let state = match states.get(&id) {
                Some(Status::Created | Status::Unknown) | None => Found::Prepared,
                Some(Status::Running | Status::Stopped | Status::Paused | Status::Pausing) => {
                    Found::Begun
                }
            };
            found.insert(id, state);
        }
        let restored = self.network.restore(kept).await;
        restored.map_err(|error| RuntimeError::Restore(error.into()))?;
        Ok(found)
    }

    async fn pull(&self, image: &str) -> Result<Image, RuntimeError> {
        match self.images.pull(image).await {
            Ok(ready) => {
                let config = ready.config.config().as_ref();
                let signal = config.and_then(|config| config.stop_signal().clone());
                Ok(Image {
                    digest: ready.digest.clone(),
                    stop_signal: image::stop_signal(signal.as_deref()),
                })
            }
            Err(error) if error.is_absence() => Err(RuntimeError::Unavailable(error.into())),
            Err(error) => Err(RuntimeError::Pull {
                image: image.to_owned(),
                cause: error.into(),
            }),
        }
    }

    async fn launch(&self, launch: &Launch) -> Result<(), RuntimeError> {
        // Boxed: it is large, and many of them wait at the same time.
        Box::pin(self.launch_container(launch)).await
    }

    async fn wait(&self, id: &ContainerId) -> crate::runtime::Exit {
        self.wait_for_exit(id).await
    }

    async fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), RuntimeError> {
        self.kill(id, signal.unsigned_abs()).await
    }

    async fn probe(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> Result<bool, RuntimeError> {
        self.run_probe(id, command, timeout).await
    }

    async fn release(&self, id: &ContainerId, network: &Attachment) -> Result<(), RuntimeError> {
        let detach = async {
            if network.address.is_some() {
                let detached = self.network.detach(id, network).await;
                detached.map_err(|error| RuntimeError::Network {
                    container: id.clone(),
                    cause: error.into(),
                })?;
            }
            Ok(())
        };
        // Both are tried, whatever becomes of the other.
        let (ended, detached) = tokio::join!(self.end_task(id), detach);
        ended.and(detached)
    }

    async fn remove(&self, task: &TaskId, containers: usize) -> Result<(), RuntimeError> {
        for index in 0..containers {
            self.clear(&ContainerId::new(task, index)).await?;
        }
        self.cgroups.remove(Some(task));
        Ok(())
    }
}
