//! Live views and logs, served by the leader: it has the counts and the agents' sessions.

use std::pin::Pin;
use std::sync::Arc;

use roadstead_core::id::ServiceId;
use roadstead_core::state::task::Task;
use roadstead_core::{ClusterState, Command, Rejection, Timestamp};
use roadstead_proto::agent::OpenLogs;
use roadstead_proto::console::console_server::Console as Wire;
use roadstead_proto::console::{
    ControlPlaneMember, DescribeControlPlaneRequest, DescribeControlPlaneResponse,
    DescribeTrafficRequest, DescribeTrafficResponse, LoadBalancerNode, LogChunk,
    PauseServiceRequest, PauseServiceResponse, ResumeServiceRequest, ResumeServiceResponse,
    ServiceView, TaskLogsRequest, WatchServiceRequest,
};
use roadstead_proto::lb::NodeReport;
use tokio::sync::mpsc;
use tokio::time::{Duration, MissedTickBehavior, interval};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::convert::{self, service::view};
use super::status::Refusal;
use super::task;
use crate::clock;
use crate::leader::{Reign, Reigns};
use crate::raft::{Member, Node};
use crate::session::LogRelay;

/// Views on their way to one caller.
const QUEUE: usize = 8;
const DEFAULT_PAUSE_SECONDS: i32 = 60;
/// Counts change without a write: a view is looked at again so often.
const REFRESH: Duration = Duration::from_millis(250);

/// Serves consoles.
#[derive(Debug)]
pub(crate) struct Console {
    node: Arc<Node>,
    reigns: Reigns,
    relay: LogRelay,
    stop: CancellationToken,
}

impl Console {
    pub(crate) fn new(
        node: &Arc<Node>,
        reigns: &Reigns,
        relay: &LogRelay,
        stop: CancellationToken,
    ) -> Self {
        Self {
            node: Arc::clone(node),
            reigns: reigns.clone(),
            relay: relay.clone(),
            stop,
        }
    }

    async fn read(&self) -> Result<Arc<ClusterState>, Refusal> {
        Ok(self.node.read().await?)
    }

    async fn pause(
        &self,
        (cluster, service): (Option<String>, Option<String>),
        until: Option<Timestamp>,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let id = super::service::reference(cluster.as_deref(), service.as_deref())?;
        self.node
            .write(Command::PauseService { id, until, at })
            .await??;
        Ok(())
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Wire for Console {
    type WatchServiceStream = Answers<ServiceView>;
    type TaskLogsStream = Answers<LogChunk>;

    async fn watch_service(
        &self,
        request: Request<WatchServiceRequest>,
    ) -> Result<Response<Answers<ServiceView>>, Status> {
        let request = request.into_inner();
        let reign = self.reigns.current()?;
        let id = super::service::reference(request.cluster.as_deref(), request.service.as_deref());
        let id = id.map_err(Refusal::from)?;
        let state = self.read().await?;
        state.service(&id).map_err(Refusal::from)?;
        let (views, stream) = mpsc::channel(QUEUE);
        let (node, stop) = (Arc::clone(&self.node), self.stop.clone());
        tokio::spawn(async move {
            let ended = reign.ended.clone();
            let moved = tokio::select! {
                () = stop.cancelled() => true,
                () = ended.cancelled() => true,
                () = watch(&node, &reign, &id, &views) => false,
            };
            if moved {
                let moved = Status::unavailable("this server no longer leads; watch again");
                // A caller that has hung up needs no answer.
                drop(views.try_send(Err(moved)));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn task_logs(
        &self,
        request: Request<TaskLogsRequest>,
    ) -> Result<Response<Answers<LogChunk>>, Status> {
        let request = request.into_inner();
        let reign = self.reigns.current()?;
        let state = self.read().await?;
        let task = task::find(&state, request.cluster.as_deref(), request.task.as_deref());
        let task = task.map_err(Refusal::from)?;
        let container = container_of(&state, task, request.container).map_err(Refusal::from)?;
        let open = OpenLogs {
            request_id: String::new(),
            task_id: task.id.to_string(),
            container,
            follow: request.follow.unwrap_or(false),
            tail: request
                .tail
                .and_then(|tail| u32::try_from(tail).ok())
                .unwrap_or(0),
        };
        let lines = self
            .relay
            .open(&reign, &task.container_instance, open)
            .await?;
        Ok(Response::new(Box::pin(ReceiverStream::new(lines))))
    }

    async fn describe_traffic(
        &self,
        _request: Request<DescribeTrafficRequest>,
    ) -> Result<Response<DescribeTrafficResponse>, Status> {
        let reports = self.reigns.current()?.presence.reports();
        let nodes = reports.iter().map(|report| report.as_ref().clone());
        Ok(Response::new(DescribeTrafficResponse {
            load_balancer_nodes: nodes.collect(),
        }))
    }

    async fn pause_service(
        &self,
        request: Request<PauseServiceRequest>,
    ) -> Result<Response<PauseServiceResponse>, Status> {
        let request = request.into_inner();
        let seconds = request.seconds.unwrap_or(DEFAULT_PAUSE_SECONDS);
        let pause = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let (at, id) = (clock::now(), (request.cluster, request.service));
        let until = at.after(pause);
        self.pause(id, Some(until), at).await?;
        Ok(Response::new(PauseServiceResponse {
            paused_until: Some(convert::seconds(until)),
        }))
    }

    async fn resume_service(
        &self,
        request: Request<ResumeServiceRequest>,
    ) -> Result<Response<ResumeServiceResponse>, Status> {
        let request = request.into_inner();
        let id = (request.cluster, request.service);
        self.pause(id, None, clock::now()).await?;
        Ok(Response::new(ResumeServiceResponse {}))
    }

    async fn describe_control_plane(
        &self,
        _request: Request<DescribeControlPlaneRequest>,
    ) -> Result<Response<DescribeControlPlaneResponse>, Status> {
        let (term, _) = self.node.progress();
        let state = self.node.newest();
        let members = self.node.survey().await.into_iter();
        // Only who leads has heard them.
        let reports = self.reigns.current().map(|reign| reign.presence.reports());
        let reports = reports.unwrap_or_default();
        Ok(Response::new(DescribeControlPlaneResponse {
            members: members.map(describe_member).collect(),
            term: i64::try_from(term).ok(),
            load_balancer_nodes: state
                .load_balancer_nodes
                .keys()
                .map(ToString::to_string)
                .collect(),
            load_balancers: reports.iter().map(|report| describe_node(report)).collect(),
        }))
    }
}

fn describe_node(report: &NodeReport) -> LoadBalancerNode {
    let trouble = &report.trouble;
    LoadBalancerNode {
        id: Some(report.node_id.clone()),
        table_revision: i64::try_from(report.table_revision).ok(),
        uptime_seconds: i64::try_from(report.uptime_milliseconds / 1000).ok(),
        trouble: (!trouble.is_empty()).then(|| trouble.clone()),
    }
}

fn describe_member((member, progress): (Member, Result<u64, String>)) -> ControlPlaneMember {
    ControlPlaneMember {
        id: i64::try_from(member.id).ok(),
        endpoint: Some(member.endpoint),
        // What this server heard last may be long ago: who does not answer leads nobody.
        leader: Some(member.leads && progress.is_ok()),
        voter: Some(member.votes),
        applied_index: progress
            .as_ref()
            .ok()
            .and_then(|index| i64::try_from(*index).ok()),
        trouble: progress.err(),
    }
}

/// Sends a view at once and after every change, until the caller hangs up.
async fn watch(
    node: &Node,
    reign: &Reign,
    id: &ServiceId,
    views: &mpsc::Sender<Result<ServiceView, Status>>,
) {
    let mut newest = node.watch();
    let mut refresh = interval(REFRESH);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = None;
    loop {
        tokio::select! {
            () = views.closed() => return,
            changed = newest.changed() => if changed.is_err() { return },
            _ = refresh.tick() => {}
        }
        let state = Arc::clone(&newest.borrow_and_update());
        match view(&state, id, clock::now(), |deployment| {
            reign.presence.counts(deployment)
        }) {
            Ok(view) => {
                // The duration moves with every look and is no news by itself.
                let news = without_durations(view.clone());
                if sent.as_ref() != Some(&news) {
                    sent = Some(news);
                    if views.send(Ok(view)).await.is_err() {
                        return;
                    }
                }
            }
            Err(rejection) => {
                drop(views.send(Err(Refusal::from(rejection).into())).await);
                return;
            }
        }
    }
}

fn without_durations(mut view: ServiceView) -> ServiceView {
    for receipt in &mut view.receipts {
        receipt.duration_ms = None;
    }
    view
}

fn container_of(
    state: &ClusterState,
    task: &Task,
    named: Option<String>,
) -> Result<String, Rejection> {
    let definition = state.task_definitions.get(&task.task_definition);
    let containers = definition
        .map(|one| one.content.containers.as_slice())
        .unwrap_or_default();
    let names: Vec<&str> = containers.iter().map(|one| one.name.as_str()).collect();
    match (named, names.as_slice()) {
        (Some(named), _) if names.contains(&named.as_str()) => Ok(named),
        (None, [only]) => Ok((*only).to_owned()),
        (Some(named), _) => Err(Rejection::invalid(format!(
            "container '{named}' is not in the task; it has {}.",
            names.join(", ")
        ))),
        (None, _) => Err(Rejection::invalid(format!(
            "container must name one of {}.",
            names.join(", ")
        ))),
    }
}
