//! The processes of containers: how they end, signals, health checks.

use std::time::Duration;

use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{
    DeleteProcessRequest, DeleteTaskRequest, ExecProcessRequest, GetContainerRequest, GetRequest,
    KillRequest, StartRequest, WaitRequest,
};
use containerd_client::types::v1::Status;
use oci_spec::runtime::{Process, Spec};
use prost_types::Any;
use roadstead_client::Backoff;
use tokio::time::timeout;
use tonic::Code;
use tracing::{debug, warn};

use super::Containerd;
use super::client::{ContainerdError, Tolerate, answer};
use super::launch::operation;
use crate::reason::chain;
use crate::runtime::{Cause, ContainerId, Exit, Found, RuntimeError};

const SIGKILL: u32 = 9;
const KILLED: i32 = 137;
/// The runtime clears up within so long; it ends the logger, which writes its last lines.
const DELETE_DEADLINE: Duration = Duration::from_secs(60);
const PROCESS_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";

impl Containerd {
    /// Waits for the end of a container's process, through any number of lost connections.
    pub(super) async fn wait_for_exit(&self, id: &ContainerId) -> Exit {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            let wait = WaitRequest {
                container_id: id.to_string(),
                ..WaitRequest::default()
            };
            let mut tasks = TasksClient::new(self.client.channel());
            let error = match answer(tasks.wait(self.client.endless(wait)).await) {
                Ok(ended) => return self.exit(id, ended.exit_status),
                Err(error) => error,
            };
            debug!(container = %id, error = chain(&error), "waiting again");
            // What the task is says more than how the wait ended: the shim may be gone.
            match self.process(id).await {
                Ok(Some((Status::Stopped, code))) => return self.exit(id, code),
                Ok(None) => return Exit::Vanished,
                Ok(Some(_)) | Err(_) => tokio::time::sleep(backoff.pause()).await,
            }
        }
    }

    /// Tells how far a container has come.
    pub(super) async fn found(&self, id: &ContainerId) -> Result<Found, ContainerdError> {
        Ok(match self.process(id).await? {
            Some((Status::Created | Status::Unknown, _)) | None => Found::Prepared,
            Some((Status::Running | Status::Stopped | Status::Paused | Status::Pausing, _)) => {
                Found::Begun
            }
        })
    }

    /// Sends a signal; a process that is gone is a success.
    pub(super) async fn kill(&self, id: &ContainerId, signal: u32) -> Result<(), RuntimeError> {
        let kill = KillRequest {
            container_id: id.to_string(),
            signal,
            ..KillRequest::default()
        };
        TasksClient::new(self.client.channel())
            .kill(self.client.request(kill))
            .await
            .unless(Code::NotFound)
            .map_err(|error| operation("signal", id, error))
    }

    /// Kills what still runs and removes the task, with its shim and logger.
    pub(super) async fn end_task(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let error = |cause: ContainerdError| operation("end", id, cause);
        let state = self.process(id).await.map_err(error)?;
        match state {
            None => return Ok(()),
            Some((Status::Stopped, _)) => {}
            Some(_) => {
                self.kill(id, SIGKILL).await?;
                let wait = timeout(DELETE_DEADLINE, self.wait_for_exit(id)).await;
                wait.map_err(|elapsed| RuntimeError::Operate {
                    operation: "kill",
                    container: id.clone(),
                    cause: Cause::from(elapsed),
                })?;
            }
        }
        let delete = DeleteTaskRequest {
            container_id: id.to_string(),
        };
        TasksClient::new(self.client.channel())
            .delete(self.client.long(delete, DELETE_DEADLINE))
            .await
            .unless(Code::NotFound)
            .map_err(error)
    }

    /// Runs a command in a container as its user, with its environment.
    pub(super) async fn run_probe(
        &self,
        id: &ContainerId,
        command: &[String],
        limit: Duration,
    ) -> Result<bool, RuntimeError> {
        let error = |cause: ContainerdError| probe_failed(id, cause);
        let exec_id = format!("probe-{:016x}", rand::random::<u64>());
        let process = self.probe_process(id, command).await?;
        let exec = ExecProcessRequest {
            container_id: id.to_string(),
            exec_id: exec_id.clone(),
            spec: Some(process),
            ..ExecProcessRequest::default()
        };
        let mut tasks = TasksClient::new(self.client.channel());
        answer(tasks.exec(self.client.request(exec)).await).map_err(error)?;
        let passed = match timeout(limit, self.run_process(id, &exec_id)).await {
            Ok(result) => result,
            Err(_) => Ok(false),
        };
        self.remove_probe(id, exec_id).await;
        passed.map_err(error)
    }

    async fn run_process(&self, id: &ContainerId, exec_id: &str) -> Result<bool, ContainerdError> {
        let mut tasks = TasksClient::new(self.client.channel());
        let start = StartRequest {
            container_id: id.to_string(),
            exec_id: exec_id.to_owned(),
        };
        match answer(tasks.start(self.client.request(start)).await) {
            Ok(_) => {}
            // The command cannot be run: that is the container's failure.
            Err(ContainerdError::Refused { message, .. }) => {
                debug!(container = %id, message, "a health check does not start");
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        let wait = WaitRequest {
            container_id: id.to_string(),
            exec_id: exec_id.to_owned(),
        };
        let ended = answer(tasks.wait(self.client.endless(wait)).await)?;
        Ok(ended.exit_status == 0)
    }

    async fn probe_process(
        &self,
        id: &ContainerId,
        command: &[String],
    ) -> Result<Any, RuntimeError> {
        let get = GetContainerRequest { id: id.to_string() };
        let mut containers = ContainersClient::new(self.client.channel());
        let got = answer(containers.get(self.client.request(get)).await)
            .map_err(|error| probe_failed(id, error))?;
        let spec = got.container.and_then(|container| container.spec);
        let spec = spec.unwrap_or_default();
        let value = probe_spec(&spec.value, command).map_err(|cause| RuntimeError::Operate {
            operation: "probe",
            container: id.clone(),
            cause: cause.into(),
        })?;
        Ok(Any {
            type_url: PROCESS_TYPE.to_owned(),
            value,
        })
    }

    /// Removes a probe, killed first if it has not ended. It is gone with its container anyway.
    async fn remove_probe(&self, id: &ContainerId, exec_id: String) {
        let mut tasks = TasksClient::new(self.client.channel());
        let delete = DeleteProcessRequest {
            container_id: id.to_string(),
            exec_id: exec_id.clone(),
        };
        let request = || self.client.request(delete.clone());
        if answer(tasks.delete_process(request()).await).is_ok() {
            return;
        }
        let kill = KillRequest {
            container_id: id.to_string(),
            exec_id: exec_id.clone(),
            signal: SIGKILL,
            ..KillRequest::default()
        };
        let wait = WaitRequest {
            container_id: id.to_string(),
            exec_id,
        };
        let removed = async {
            tasks
                .kill(self.client.request(kill))
                .await
                .unless(Code::NotFound)?;
            tasks
                .wait(self.client.request(wait))
                .await
                .unless(Code::NotFound)?;
            tasks.delete_process(request()).await.unless(Code::NotFound)
        };
        if let Err(error) = removed.await {
            warn!(container = %id, error = chain(&error), "a health check stays behind");
        }
    }

    /// Returns a task's state and exit status, or `None` without a task.
    async fn process(&self, id: &ContainerId) -> Result<Option<(Status, u32)>, ContainerdError> {
        let get = GetRequest {
            container_id: id.to_string(),
            ..GetRequest::default()
        };
        let mut tasks = TasksClient::new(self.client.channel());
        match answer(tasks.get(self.client.request(get)).await) {
            Ok(got) => Ok(got.process.map(|p| (p.status(), p.exit_status))),
            Err(error) if error.is(Code::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// SIGKILL alone may be a stop that took too long; with a kill for memory counted, it was that.
    fn exit(&self, id: &ContainerId, status: u32) -> Exit {
        let code = i32::try_from(status).unwrap_or(i32::MAX);
        Exit::Code {
            code,
            out_of_memory: code == KILLED && self.cgroups.was_out_of_memory(id),
        }
    }
}

/// A containerd that does not answer in time says nothing about the container's health.
fn probe_failed(id: &ContainerId, error: ContainerdError) -> RuntimeError {
    if error.is_timeout() {
        return RuntimeError::Unavailable(error.into());
    }
    operation("probe", id, error)
}

/// Returns the container's process with another command.
fn probe_spec(spec: &[u8], command: &[String]) -> Result<Vec<u8>, serde_json::Error> {
    let spec: Spec = serde_json::from_slice(spec)?;
    let mut process: Process = spec.process().clone().unwrap_or_default();
    process
        .set_args(Some(command.to_vec()))
        .set_terminal(Some(false));
    serde_json::to_vec(&process)
}
