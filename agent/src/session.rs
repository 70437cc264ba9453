//! The session with the control plane: registers, reports, and passes on what is desired.
//!
//! Both directions are complete sets, so a lost connection needs no care: the next session begins with
//! everything. While there is no session, nothing stops: the engine goes on with the last desired set.

mod push;

use std::sync::Arc;
use std::time::Duration;

use roadstead_client::proto::agent::agent_instruction::Instruction;
use roadstead_client::proto::agent::agent_message::Message;
use roadstead_client::proto::agent::agent_session_client::AgentSessionClient;
use roadstead_client::proto::agent::{AgentMessage, DesiredTasks, Heartbeat, Register, TaskReport};
use roadstead_client::{Backoff, ConnectError, ControlPlane};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tracing::{debug, error, info, warn};

use crate::engine::Desired;
use crate::identity::{Identity, IdentityError};
use crate::reason::chain;
use crate::records::Records;

const HEARTBEAT: Duration = Duration::from_millis(500);
/// The control plane takes a message, or accepts a session, within so long.
const DEADLINE: Duration = Duration::from_secs(5);
const QUEUE: usize = 8;
/// The complete set of a large instance, with its tasks' environments, is more than tonic's 4 MiB. The
/// control plane takes as much.
const LARGEST_MESSAGE: usize = 64 << 20;
/// Logs that are read at once.
const LOGS: usize = 16;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the control plane ended the session")]
    Ended(#[source] Box<Status>),
    #[error("the control plane closed the session")]
    Closed,
    #[error("the control plane does not take messages any more")]
    Stalled,
    #[error("cannot keep the control plane's identity")]
    Identity(#[from] IdentityError),
}

/// What an agent needs to speak with its control plane.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) control_plane: ControlPlane,
    pub(crate) identity: Identity,
    pub(crate) register: Register,
    pub(crate) records: Records,
    pub(crate) desired: watch::Sender<Desired>,
    pub(crate) report: watch::Receiver<TaskReport>,
    /// The newest revision that was taken in.
    pub(crate) revision: u64,
}

impl Session {
    /// Keeps a session up until it is stopped.
    pub(crate) async fn run(mut self, stop: &CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.once(&mut backoff) => ended,
            };
            if let Err(ended) = ended {
                if let SessionError::Ended(status) = &ended
                    && status.code() == Code::Unavailable
                    && self.control_plane.learn(status)
                {
                    backoff.reset();
                }
                warn!(error = chain(&ended), "no session with the control plane");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(backoff.pause()) => {}
            }
        }
    }

    /// Runs one session to its end.
    async fn once(&mut self, backoff: &mut Backoff) -> Result<(), SessionError> {
        let channel = self.control_plane.connect().await?;
        let (send, receive) = mpsc::channel(QUEUE);
        let register = Message::Register(self.register.clone());
        say(&send, register).await?;
        self.report.mark_changed();
        let mut client =
            AgentSessionClient::new(channel.clone()).max_decoding_message_size(LARGEST_MESSAGE);
        let opened = timeout(DEADLINE, client.session(ReceiverStream::new(receive))).await;
        let opened = opened.map_err(|_| SessionError::Stalled)?;
        let opened = opened.map_err(ended)?;
        let mut instructions = opened.into_inner();
        let logs = Arc::new(Semaphore::new(LOGS));
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = self.report.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let report = self.report.borrow_and_update().clone();
                    say(&send, Message::Report(report)).await?;
                }
                _ = heartbeat.tick() => say(&send, Message::Heartbeat(Heartbeat {})).await?,
                received = instructions.message() => {
                    let instruction = received.map_err(ended)?.ok_or(SessionError::Closed)?;
                    backoff.reset();
                    match instruction.instruction {
                        Some(Instruction::Desired(set)) => self.take(set)?,
                        Some(Instruction::OpenLogs(request)) => {
                            self.open_logs(&channel, &logs, request);
                        }
                        // From a control plane that is newer than this agent.
                        None => debug!("an instruction is not known here"),
                    }
                }
            }
        }
    }

    /// Takes in a desired set, unless it is another control plane's or older than the last one.
    fn take(&mut self, set: DesiredTasks) -> Result<(), IdentityError> {
        if !self.identity.belongs_to(&set.control_plane_id)? {
            error!(
                control_plane = set.control_plane_id,
                "refused the tasks of a control plane that this agent does not belong to"
            );
            return Ok(());
        }
        if set.revision < self.revision {
            warn!(
                revision = set.revision,
                newest = self.revision,
                "refused an older set of tasks"
            );
            return Ok(());
        }
        if self.revision == 0 {
            info!(
                revision = set.revision,
                tasks = set.tasks.len(),
                "first set of tasks"
            );
        }
        self.control_plane.learn_servers(&set.servers);
        self.revision = set.revision;
        self.desired.send_replace(Some(Arc::new(set.tasks)));
        Ok(())
    }

    fn open_logs(
        &self,
        channel: &Channel,
        logs: &Arc<Semaphore>,
        request: roadstead_client::proto::agent::OpenLogs,
    ) {
        let push = push::Push {
            client: AgentSessionClient::new(channel.clone()),
            records: self.records.clone(),
            report: self.report.clone(),
            request,
        };
        let permit = Arc::clone(logs).try_acquire_owned();
        tokio::spawn(async move {
            match permit {
                Ok(_permit) => push.run().await,
                Err(_) => push.refuse("too many logs are being read").await,
            }
        });
    }
}

async fn say(send: &mpsc::Sender<AgentMessage>, message: Message) -> Result<(), SessionError> {
    let message = AgentMessage {
        message: Some(message),
    };
    match timeout(DEADLINE, send.send(message)).await {
        Ok(Ok(())) => Ok(()),
        // The stream's own end tells why, if it comes; this may be seen first.
        Ok(Err(_)) => Err(SessionError::Closed),
        Err(_) => Err(SessionError::Stalled),
    }
}

fn ended(status: Status) -> SessionError {
    SessionError::Ended(Box::new(status))
}

#[cfg(test)]
mod tests;
