//! Launches a container: record, writable layer, network, task, start.
//!
//! The record comes first: it names the snapshot, so the collector leaves that alone without a lease.
//! What a launch that was cut short has left is cleared and made again; a container whose process has
//! begun is left alone, because a task runs at most once.

mod attempt;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::services::v1::container::Runtime as RuntimeName;
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateTaskRequest, DeleteContainerRequest, StartRequest,
    UpdateContainerRequest,
};
use containerd_client::types::Mount;
use nix::sys::resource::{Resource, getrlimit};
use prost::Message;
use prost_types::{Any, FieldMask};
use tonic::Code;

use super::Containerd;
use super::client::{ContainerdError, Tolerate, answer};
use super::files;
use super::image::Ready;
use super::snapshot::SNAPSHOTTER;
use super::spec::{Ingredients, spec};
use super::user::{self, User};
use crate::runtime::{Cause, ContainerId, Found, Launch, RuntimeError};
use attempt::{Attempt, Step};

/// ecs-agent: container create timeout 4 minutes, start timeout 3 minutes.
const CREATE_DEADLINE: Duration = Duration::from_secs(240);
const START_DEADLINE: Duration = Duration::from_secs(180);

/// Fargate's default for `nofile`.
const OPEN_FILES: u64 = 65_535;

pub(super) const RUNTIME: &str = "io.containerd.runc.v2";
const SPEC_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/// The options of the runc shim that we use (containerd.runc.v1.Options).
#[derive(Clone, PartialEq, Message)]
struct RuncOptions {
    #[prost(string, tag = "6")]
    binary_name: String,
}

impl Containerd {
    pub(super) async fn launch_container(&self, launch: &Launch) -> Result<(), RuntimeError> {
        let id = &launch.id;
        let attempt = Attempt::of(id);
        let at = |step: Step| move |cause: Cause| attempt.failed(step, cause);
        let ready = self.images.ready(&launch.image.digest).await;
        let ready = ready.map_err(|error| at(Step::Create)(error.into()))?;
        let network = launch.network.address.map(|_| self.network_path(id));
        let hostname = hostname(id, network.is_some());
        let address = launch.network.address;
        files::write(&launch.directory, &hostname, address)
            .map_err(|error| at(Step::Create)(error.into()))?;
        self.cgroups
            .limit(&launch.task)
            .map_err(|error| at(Step::Create)(error.into()))?;
        let wanted_user = wanted_user(launch, &ready);
        let ingredients = |user: &User| {
            spec(&Ingredients {
                definition: &launch.container.definition,
                image: &ready.config,
                user,
                hostname: &hostname,
                network: network.as_deref(),
                cgroup: &self.cgroups.path(id),
                unified: self.cgroups.is_unified(),
                open_files: open_files(),
                files: &launch.directory,
            })
        };
        let specified = |user: &User| -> Result<Any, RuntimeError> {
            let spec = ingredients(user).map_err(|error| at(Step::Create)(error.into()))?;
            let value = serde_json::to_vec(&spec);
            Ok(Any {
                type_url: SPEC_TYPE.to_owned(),
                value: value.map_err(|error| at(Step::Create)(error.into()))?,
            })
        };
        if !self
            .create_record(attempt, launch, specified(&User::default())?)
            .await?
        {
            return Ok(());
        }
        let prepare = async {
            let mounts = self
                .client
                .prepare_rootfs(&id.to_string(), &ready.chain_id)
                .await
                .map_err(|error| at(Step::Create)(error.into()))?;
            if let Some(wanted) = &wanted_user {
                let user = user::resolve(wanted, &layers(&mounts));
                let user = user.map_err(|error| at(Step::Create)(error.into()))?;
                self.respecify(attempt, specified(&user)?).await?;
            }
            Ok(mounts)
        };
        let attach = async {
            if let Some(address) = launch.network.address {
                self.network
                    .attach(id, address, &launch.network)
                    .await
                    .map_err(|error| at(Step::Network)(error.into()))?;
            }
            Ok(())
        };
        // Neither is dropped when the other fails: half a namespace could not be found again.
        let (mounts, attached) = tokio::join!(prepare, attach);
        let mounts = mounts?;
        attached?;
        self.start_task(attempt, launch, mounts).await
    }

    /// Creates the container's record; returns `false` when its process has begun already.
    async fn create_record(
        &self,
        attempt: Attempt<'_>,
        launch: &Launch,
        spec: Any,
    ) -> Result<bool, RuntimeError> {
        let id = attempt.id;
        let record = self.record(launch, spec);
        let error = |error: ContainerdError| attempt.failed(Step::Create, error.into());
        loop {
            let create = CreateContainerRequest {
                container: Some(record.clone()),
            };
            let mut containers = ContainersClient::new(self.client.channel());
            match answer(containers.create(self.client.request(create)).await) {
                Ok(_) => return Ok(true),
                Err(refused) if refused.is(Code::AlreadyExists) => {}
                Err(refused) => return Err(error(refused)),
            }
            if self.found(id).await.map_err(error)? == Found::Begun {
                return Ok(false);
            }
            self.clear(id).await?;
        }
    }

    fn record(&self, launch: &Launch, spec: Any) -> Container {
        let options = self.oci_runtime.as_ref().map(|path| {
            let options = RuncOptions {
                binary_name: path.display().to_string(),
            };
            Any {
                type_url: "containerd.runc.v1.Options".to_owned(),
                value: options.encode_to_vec(),
            }
        });
        let task = &launch.task;
        let labels = [
            ("cluster", task.cluster.clone()),
            ("task", task.id.to_string()),
            ("family", format!("{}:{}", task.family, task.revision)),
            ("container", launch.container.name().to_owned()),
        ];
        let labels = labels.map(|(key, value)| (format!("roadstead/{key}"), value));
        Container {
            id: launch.id.to_string(),
            labels: HashMap::from(labels),
            image: launch
                .container
                .definition
                .image
                .clone()
                .unwrap_or_default(),
            runtime: Some(RuntimeName {
                name: RUNTIME.to_owned(),
                options,
            }),
            spec: Some(spec),
            snapshotter: SNAPSHOTTER.to_owned(),
            snapshot_key: launch.id.to_string(),
            ..Container::default()
        }
    }

    /// Writes the user into the record, which could not be known before the image was mounted.
    async fn respecify(&self, attempt: Attempt<'_>, spec: Any) -> Result<(), RuntimeError> {
        let update = UpdateContainerRequest {
            container: Some(Container {
                id: attempt.id.to_string(),
                spec: Some(spec),
                ..Container::default()
            }),
            update_mask: Some(FieldMask {
                paths: vec!["spec".to_owned()],
            }),
        };
        let mut containers = ContainersClient::new(self.client.channel());
        answer(containers.update(self.client.request(update)).await)
            .map(drop)
            .map_err(|error| attempt.failed(Step::Create, error.into()))
    }

    async fn start_task(
        &self,
        attempt: Attempt<'_>,
        launch: &Launch,
        rootfs: Vec<Mount>,
    ) -> Result<(), RuntimeError> {
        let id = attempt.id;
        let logger = logger_uri(&self.logger, &launch.directory);
        let create = CreateTaskRequest {
            container_id: id.to_string(),
            rootfs,
            stdout: logger.clone(),
            stderr: logger,
            ..CreateTaskRequest::default()
        };
        let mut tasks = TasksClient::new(self.client.channel());
        answer(
            tasks
                .create(self.client.long(create, CREATE_DEADLINE))
                .await,
        )
        .map_err(|error| attempt.failed(Step::Process, error.into()))?;
        let attempt = Attempt::of(id);
        let start = StartRequest {
            container_id: id.to_string(),
            ..StartRequest::default()
        };
        answer(tasks.start(self.client.long(start, START_DEADLINE)).await)
            .map(drop)
            .map_err(|error| attempt.failed(Step::Start, error.into()))
    }

    /// Removes what there is of a container: its process, record and writable layer.
    pub(super) async fn clear(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let error = |cause: ContainerdError| operation("remove", id, cause);
        self.end_task(id).await?;
        let delete = DeleteContainerRequest { id: id.to_string() };
        let mut containers = ContainersClient::new(self.client.channel());
        containers
            .delete(self.client.request(delete))
            .await
            .unless(Code::NotFound)
            .map_err(error)?;
        self.client
            .remove_snapshot(&id.to_string())
            .await
            .map_err(error)
    }
}

pub(super) fn operation(
    operation: &'static str,
    id: &ContainerId,
    error: ContainerdError,
) -> RuntimeError {
    if error.is_absence() {
        return RuntimeError::Unavailable(error.into());
    }
    RuntimeError::Operate {
        operation,
        container: id.clone(),
        cause: error.into(),
    }
}

fn wanted_user(launch: &Launch, image: &Ready) -> Option<String> {
    let own = launch.container.definition.user.clone();
    let config = image.config.config().as_ref();
    let user = own.or_else(|| config.and_then(|config| config.user().clone()));
    // Without lookup: what nobody asked to be anything else is root.
    user.filter(|user| !matches!(user.as_str(), "" | "0" | "root" | "0:0"))
}

/// Returns Fargate's default, or less where this machine does not allow it.
fn open_files() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(OPEN_FILES, |(_, hard)| hard.min(OPEN_FILES))
}

fn hostname(id: &ContainerId, own: bool) -> String {
    if own {
        let task: String = id.task().as_str().chars().take(12).collect();
        return format!("{task}-{}", id.index());
    }
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Returns the directories that a root file system consists of, the uppermost first.
fn layers(mounts: &[Mount]) -> Vec<PathBuf> {
    let mut layers = Vec::new();
    for mount in mounts {
        if mount.r#type == "bind" {
            layers.push(PathBuf::from(&mount.source));
        }
        for option in &mount.options {
            let lower = option.strip_prefix("lowerdir=");
            let lower = lower.into_iter().flat_map(|dirs| dirs.split(':'));
            layers.extend(option.strip_prefix("upperdir=").map(PathBuf::from));
            layers.extend(lower.map(PathBuf::from));
        }
    }
    layers
}

/// Names the logger to the shim, which turns the query into arguments.
fn logger_uri(logger: &Path, directory: &Path) -> String {
    format!(
        "binary://{}?container-logger={}",
        escape(&logger.display().to_string()),
        escape(&directory.display().to_string())
    )
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let bytes = text.bytes().map(|byte| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logger_with_an_odd_path_is_named_safely() {
        assert_eq!(
            logger_uri(Path::new("/opt/a b/ctl"), Path::new("/data/x&y")),
            "binary:///opt/a%20b/ctl?container-logger=/data/x%26y"
        );
    }

    #[test]
    fn the_layers_of_an_overlay_come_uppermost_first() {
        let mount = Mount {
            r#type: "overlay".into(),
            options: ["workdir=/w", "upperdir=/u", "lowerdir=/b:/a"]
                .map(str::to_owned)
                .to_vec(),
            ..Mount::default()
        };
        assert_eq!(layers(&[mount]), ["/u", "/b", "/a"].map(PathBuf::from));
    }
}
