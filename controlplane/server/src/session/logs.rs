//! Brings a container's log from the agent that has it to the caller who asked for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roadstead_core::id::ContainerInstanceId;
use roadstead_proto::agent::agent_instruction::Instruction;
use roadstead_proto::agent::{AgentInstruction, LogPush, OpenLogs};
use roadstead_proto::console::LogChunk;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::id;
use crate::leader::Reign;

/// Lines on their way to one caller.
const QUEUE: usize = 256;
/// The agent has to begin to answer within this.
const DEADLINE: Duration = Duration::from_secs(10);

type Lines = mpsc::Sender<Result<LogChunk, Status>>;

/// The log requests that wait for an agent. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogRelay {
    waiting: Arc<Mutex<BTreeMap<String, Lines>>>,
}

impl LogRelay {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<String, Lines>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the agent of `instance` for a log; the lines come through the receiver.
    pub(crate) async fn open(
        &self,
        reign: &Reign,
        instance: &ContainerInstanceId,
        request: OpenLogs,
    ) -> Result<mpsc::Receiver<Result<LogChunk, Status>>, Status> {
        let away = || {
            Status::unavailable(format!(
                "the agent of container instance {instance} is not connected"
            ))
        };
        let agent = reign.presence.agent(instance).ok_or_else(away)?;
        let (lines, receiver) = mpsc::channel(QUEUE);
        let request_id = id::hex32();
        self.waiting().insert(request_id.clone(), lines);
        let open = OpenLogs {
            request_id: request_id.clone(),
            ..request
        };
        let instruction = AgentInstruction {
            instruction: Some(Instruction::OpenLogs(open)),
        };
        let sent = tokio::time::timeout(DEADLINE, agent.send(instruction)).await;
        if !matches!(sent, Ok(Ok(()))) {
            self.waiting().remove(&request_id);
            return Err(away());
        }
        self.give_up_later(request_id);
        Ok(receiver)
    }

    /// Tells the caller when the agent does not answer at all.
    fn give_up_later(&self, request_id: String) {
        let relay = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(DEADLINE).await;
            let unanswered = relay.waiting().remove(&request_id);
            if let Some(lines) = unanswered {
                let late =
                    Status::deadline_exceeded("the agent did not answer the request for the log");
                // A caller that has hung up needs no answer.
                drop(lines.try_send(Err(late)));
            }
        });
    }

    /// An agent answers: passes the lines on until either side hangs up, or the server stops. A log that
    /// breaks off ends with an error, so that nobody takes it for whole.
    pub(crate) async fn pushed(
        &self,
        mut chunks: Streaming<LogPush>,
        stop: &CancellationToken,
    ) -> Result<(), Status> {
        let Some(first) = chunks.next().await.transpose()? else {
            return Ok(());
        };
        let lines = self.waiting().remove(&first.request_id);
        let lines = lines.ok_or_else(|| Status::not_found("nobody waits for this log any more"))?;
        let mut next = Some(first);
        while let Some(chunk) = next {
            if let Some(line) = line(chunk)
                && lines.send(line).await.is_err()
            {
                return Ok(());
            }
            let broke_off = tokio::select! {
                () = lines.closed() => return Ok(()),
                () = stop.cancelled() => Status::unavailable("the server stops"),
                chunk = chunks.next() => match chunk.transpose() {
                    Ok(chunk) => {
                        next = chunk;
                        continue;
                    }
                    Err(_) => Status::unavailable("the agent has broken off"),
                },
            };
            // A caller that has hung up, or reads nothing, needs no answer.
            drop(lines.try_send(Err(broke_off.clone())));
            return Err(broke_off);
        }
        Ok(())
    }
}

/// Reads a line; `None` for the chunk that only names the request, so that an empty log answers too.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since the epoch fit a double exactly"
)]
fn line(chunk: LogPush) -> Option<Result<LogChunk, Status>> {
    if !chunk.error.is_empty() {
        return Some(Err(Status::not_found(chunk.error)));
    }
    let line = LogChunk {
        timestamp: Some(chunk.timestamp as f64 / 1000.0),
        message: Some(chunk.message),
        stream: Some(chunk.stream).filter(|stream| !stream.is_empty()),
    };
    line.stream.is_some().then_some(Ok(line))
}
