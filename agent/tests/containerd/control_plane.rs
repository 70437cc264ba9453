//! A control plane of a few lines: says what is desired, and remembers what was reported.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roadstead_client::proto::agent::agent_instruction::Instruction;
use roadstead_client::proto::agent::agent_message::Message;
use roadstead_client::proto::agent::agent_session_server::{AgentSession, AgentSessionServer};
use roadstead_client::proto::agent::{
    AgentInstruction, AgentMessage, DesiredTask, DesiredTasks, LogPush, ObservedTask, OpenLogs,
    PushLogsResponse, Register, TaskReport,
};
use tokio::net::UnixListener;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};

const DEADLINE: Duration = Duration::from_secs(60);

/// What the test and the server share.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    desired: watch::Sender<DesiredTasks>,
    report: watch::Sender<TaskReport>,
    pub registered: Mutex<Option<Register>>,
    instructions: broadcast::Sender<Instruction>,
    pushes: mpsc::Sender<LogPush>,
    pushed: tokio::sync::Mutex<mpsc::Receiver<LogPush>>,
}

impl ControlPlane {
    pub(crate) fn start(socket: &Path) -> Arc<Self> {
        let (pushes, pushed) = mpsc::channel(1024);
        let this = Arc::new(Self {
            desired: watch::Sender::new(DesiredTasks {
                revision: 1,
                control_plane_id: "test".into(),
                tasks: Vec::new(),
                servers: Vec::new(),
            }),
            report: watch::Sender::new(TaskReport::default()),
            registered: Mutex::new(None),
            instructions: broadcast::Sender::new(8),
            pushes,
            pushed: tokio::sync::Mutex::new(pushed),
        });
        let listener = UnixListener::bind(socket).expect("the socket can be bound");
        let service = AgentSessionServer::new(Service(Arc::clone(&this)));
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(UnixListenerStream::new(listener)),
        );
        this
    }

    /// Makes these the desired tasks.
    pub(crate) fn desire(&self, tasks: Vec<DesiredTask>) {
        self.desired.send_modify(|set| {
            set.revision += 1;
            set.tasks = tasks;
        });
    }

    /// Sends one instruction beside the desired set, in order.
    pub(crate) fn send(&self, instruction: Instruction) {
        let sent = self.instructions.send(instruction);
        sent.expect("an agent is connected");
    }

    pub(crate) fn revision(&self) -> u64 {
        self.desired.borrow().revision
    }

    /// Forgets what was reported, as a control plane that starts again.
    pub(crate) fn forget(&self) {
        self.report.send_replace(TaskReport::default());
    }

    /// Waits until a task is reported that satisfies a condition.
    pub(crate) async fn task(
        &self,
        id: &str,
        what: impl Fn(&ObservedTask) -> bool,
    ) -> ObservedTask {
        let find = |report: &TaskReport| {
            let mut tasks = report.tasks.iter();
            tasks.find(|task| task.task_id == id && what(task)).cloned()
        };
        let mut report = self.report.subscribe();
        let found = timeout(DEADLINE, report.wait_for(|report| find(report).is_some())).await;
        match found {
            Ok(report) => find(&report.expect("the server lives")).expect("it was found"),
            Err(_) => panic!("task {id} is not as expected: {:#?}", self.report.borrow()),
        }
    }

    pub(crate) async fn status(&self, id: &str, status: &str) -> ObservedTask {
        self.task(id, |task| task.last_status == status).await
    }

    /// Waits until a task is not reported any more.
    pub(crate) async fn gone(&self, id: &str) {
        let mut report = self.report.subscribe();
        let gone = |report: &TaskReport| report.tasks.iter().all(|task| task.task_id != id);
        let gone = timeout(DEADLINE, report.wait_for(gone)).await;
        assert!(gone.is_ok(), "task {id} is still reported");
    }

    /// Asks for a log; its chunks are then taken by `next_push`.
    pub(crate) fn open_logs(&self, request: OpenLogs) {
        self.send(Instruction::OpenLogs(request));
    }

    pub(crate) async fn next_push(&self) -> LogPush {
        let mut pushed = self.pushed.lock().await;
        let push = timeout(DEADLINE, pushed.recv()).await;
        push.expect("a chunk arrives in time")
            .expect("the server lives")
    }
}

struct Service(Arc<ControlPlane>);

#[tonic::async_trait]
impl AgentSession for Service {
    type SessionStream = ReceiverStream<Result<AgentInstruction, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages
            .message()
            .await?
            .and_then(|message| message.message);
        let Some(Message::Register(register)) = first else {
            return Err(Status::invalid_argument(
                "the first message is not `register`",
            ));
        };
        *self.0.registered.lock().unwrap() = Some(register);
        let (send, receive) = mpsc::channel(8);
        let this = Arc::clone(&self.0);
        let mut desired = this.desired.subscribe();
        let mut instructions = this.instructions.subscribe();
        desired.mark_changed();
        tokio::spawn(async move {
            loop {
                let instruction = tokio::select! {
                    message = messages.message() => match message {
                        Ok(Some(message)) => {
                            if let Some(Message::Report(report)) = message.message {
                                this.report.send_replace(report);
                            }
                            continue;
                        }
                        Ok(None) | Err(_) => return,
                    },
                    Ok(()) = desired.changed() => {
                        Instruction::Desired(desired.borrow_and_update().clone())
                    }
                    Ok(instruction) = instructions.recv() => instruction,
                };
                let instruction = AgentInstruction {
                    instruction: Some(instruction),
                };
                if send.send(Ok(instruction)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn push_logs(
        &self,
        request: Request<Streaming<LogPush>>,
    ) -> Result<Response<PushLogsResponse>, Status> {
        let mut pushes = request.into_inner();
        while let Some(push) = pushes.message().await? {
            let sent = self.0.pushes.send(push).await;
            sent.map_err(|_| Status::cancelled("nobody reads"))?;
        }
        Ok(Response::new(PushLogsResponse {}))
    }
}
