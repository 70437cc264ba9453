//! The session of an agent: which tasks its instance shall run, and what became of them.

use std::pin::Pin;
use std::sync::Arc;

use roadstead_core::id::ContainerInstanceId;
use roadstead_core::state::container_instance::InstanceRegistration;
use roadstead_core::state::join::Role;
use roadstead_core::{ClusterState, Command};
use roadstead_proto::agent::agent_instruction::Instruction;
use roadstead_proto::agent::agent_message::Message;
use roadstead_proto::agent::agent_session_server::AgentSession;
use roadstead_proto::agent::{
    AgentInstruction, AgentMessage, LogPush, PushLogsResponse, TaskReport,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::{info, warn};

use super::{LogRelay, agent_convert};
use crate::api::status;
use crate::leader::{Reign, Reigns};
use crate::log::{Endpoints, Log};
use crate::raft::Node;
use crate::{authorize, clock};

/// Instructions on their way to one agent.
const QUEUE: usize = 16;

/// Serves the sessions of agents.
#[derive(Debug)]
pub(crate) struct Agents<L = Node> {
    log: Arc<L>,
    reigns: Reigns<L>,
    relay: LogRelay,
    stop: CancellationToken,
}

impl<L: Log> Agents<L> {
    pub(crate) fn new(
        log: &Arc<L>,
        reigns: &Reigns<L>,
        relay: &LogRelay,
        stop: CancellationToken,
    ) -> Self {
        Self {
            log: Arc::clone(log),
            reigns: reigns.clone(),
            relay: relay.clone(),
            stop,
        }
    }

    /// Opens a session with an agent for which `itself` lets the caller speak.
    pub(crate) async fn open<S>(
        &self,
        itself: impl Fn(&str) -> Result<(), Status>,
        mut messages: S,
    ) -> Result<ReceiverStream<AgentInstruction>, Status>
    where
        S: Stream<Item = Result<AgentMessage, Status>> + Send + Unpin + 'static,
    {
        let reign = self.reigns.current()?;
        let register = match messages
            .next()
            .await
            .transpose()?
            .and_then(|message| message.message)
        {
            Some(Message::Register(register)) => register,
            Some(Message::Heartbeat(_) | Message::Report(_)) | None => {
                return Err(Status::invalid_argument(
                    "the first message of a session must be `register`",
                ));
            }
        };
        let instance = agent_convert::registration(register)?;
        let id = instance.id.clone();
        itself(id.as_str())?;
        let (instructions, outgoing) = mpsc::channel(QUEUE);
        // Present before it is registered, or it could be found missing in between.
        let superseded = reign.presence.agent_joined(&id, instructions.clone());
        if let Err(refused) = self.register(instance).await {
            reign.presence.agent_left(&id, &instructions);
            return Err(refused);
        }
        info!(instance = %id, "agent connected");
        let session = Session {
            log: Arc::clone(&self.log),
            reign: Arc::clone(&reign),
            id: id.clone(),
            instructions: instructions.clone(),
            sent: None,
        };
        let stop = self.stop.clone();
        tokio::spawn(async move {
            let end = tokio::select! {
                biased;
                () = stop.cancelled() => Ok(()),
                () = reign.ended.cancelled() => Ok(()),
                () = superseded.cancelled() => Ok(()),
                end = session.run(messages) => end,
            };
            match end {
                Ok(()) => info!(instance = %id, "agent session ended"),
                Err(status) => {
                    warn!(instance = %id, reason = status.message(), "agent session failed");
                }
            }
            // With the last sender the agent's stream ends, and it connects again.
            reign.presence.agent_left(&id, &instructions);
        });
        Ok(ReceiverStream::new(outgoing))
    }

    async fn register(&self, instance: InstanceRegistration) -> Result<(), Status> {
        let command = Command::RegisterContainerInstance {
            instance,
            at: clock::now(),
        };
        let written = self.log.write(command).await?;
        written.map_err(|rejection| status::rejected(&rejection))
    }
}

#[tonic::async_trait]
impl AgentSession for Agents {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<AgentInstruction, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let itself = authorize::itself(&request, Role::Agent);
        let outgoing = self.open(itself, request.into_inner()).await?;
        Ok(Response::new(Box::pin(outgoing.map(Ok))))
    }

    async fn push_logs(
        &self,
        request: Request<Streaming<LogPush>>,
    ) -> Result<Response<PushLogsResponse>, Status> {
        let chunks = request.into_inner();
        self.relay.pushed(chunks, &self.stop).await?;
        Ok(Response::new(PushLogsResponse {}))
    }
}

struct Session<L> {
    log: Arc<L>,
    reign: Arc<Reign>,
    id: ContainerInstanceId,
    instructions: mpsc::Sender<AgentInstruction>,
    /// The version of the desired set that was sent last, and the servers with it.
    sent: Option<(u64, Endpoints)>,
}

impl<L: Log> Session<L> {
    async fn run<S>(mut self, mut messages: S) -> Result<(), Status>
    where
        S: Stream<Item = Result<AgentMessage, Status>> + Unpin,
    {
        let (mut newest, mut servers) = (self.log.watch(), self.log.servers());
        loop {
            self.send_if_changed(&mut newest, &mut servers).await?;
            tokio::select! {
                // An agent that speaks without a pause still hears what changed: every turn begins with that.
                biased;
                message = messages.next() => match message.transpose()? {
                    Some(message) => self.receive(message).await?,
                    None => return Ok(()),
                },
                changed = newest.changed() => changed.map_err(|_| Status::unavailable("the server stops"))?,
                changed = servers.changed() => changed.map_err(|_| Status::unavailable("the server stops"))?,
            }
        }
    }

    async fn send_if_changed(
        &mut self,
        newest: &mut watch::Receiver<Arc<ClusterState>>,
        servers: &mut watch::Receiver<Endpoints>,
    ) -> Result<(), Status> {
        let state = Arc::clone(&newest.borrow_and_update());
        let Some(instance) = state.container_instances.get(&self.id) else {
            return Err(Status::not_found("the container instance is gone"));
        };
        let named = Arc::clone(&servers.borrow_and_update());
        let current = Some((instance.desired_version, Arc::clone(&named)));
        if self.sent == current {
            return Ok(());
        }
        let desired = agent_convert::desired_tasks(&state, &self.id, named.to_vec());
        self.sent = current;
        let instruction = AgentInstruction {
            instruction: Some(Instruction::Desired(desired)),
        };
        // Bounded: an agent that does not read holds up only its own session.
        let sent = self.instructions.send(instruction).await;
        sent.map_err(|_| Status::cancelled("the agent has hung up"))
    }

    async fn receive(&mut self, message: AgentMessage) -> Result<(), Status> {
        self.reign.presence.agent_heard(&self.id);
        match message.message {
            Some(Message::Report(report)) => self.report(report).await,
            Some(Message::Heartbeat(_)) => Ok(()),
            Some(Message::Register(_)) | None => Err(Status::invalid_argument(
                "a session registers once, with its first message",
            )),
        }
    }

    async fn report(&mut self, report: TaskReport) -> Result<(), Status> {
        let state = self.log.newest();
        let mut changes = Vec::new();
        for observed in report.tasks {
            let change = agent_convert::task_state_change(&self.id, observed)?;
            // The agent may still name tasks that have long been over here.
            if state
                .tasks
                .get(&change.task)
                .is_some_and(|task| task.changed_by(&change))
            {
                changes.push(change);
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let command = Command::SubmitTaskStateChanges {
            changes,
            at: clock::now(),
        };
        self.log
            .write(command)
            .await?
            .map_err(|rejection| status::rejected(&rejection))
    }
}
