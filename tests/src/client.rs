//! What stories say to the control plane, one verb each. Every call has a deadline; none is tried twice here:
//! whoever waits for something looks again through `eventually`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use roadstead_client::proto::acm::acm_client::AcmClient;
use roadstead_client::proto::console::console_client::ConsoleClient;
use roadstead_client::proto::console::{
    ControlPlaneMember, DescribeControlPlaneRequest, DescribeControlPlaneResponse, Receipt,
    ServiceView, WatchServiceRequest,
};
use roadstead_client::proto::ecs::ecs_client::EcsClient;
use roadstead_client::proto::ecs::{
    ContainerInstance, DescribeContainerInstancesRequest, DescribeTasksRequest,
    ListClustersRequest, ListContainerInstancesRequest, ListTasksRequest,
    RegisterTaskDefinitionRequest, Service, Task, UpdateServiceRequest,
};
use roadstead_client::proto::elb::elb_client::ElbClient;
use roadstead_client::{ControlPlane, Credentials, Endpoint};
use tonic::service::interceptor::InterceptedService;
use tonic::transport;
use tonic::{Request, Status};

use crate::eventually;

const CALL_DEADLINE: Duration = Duration::from_secs(10);
const ROLLOUT_DEADLINE: Duration = Duration::from_secs(90);
/// DescribeTasks takes at most so many.
const TASKS_AT_ONCE: usize = 100;

type SetDeadline = fn(Request<()>) -> Result<Request<()>, Status>;

/// A connection on which every call has a deadline.
pub type Channel = InterceptedService<transport::Channel, SetDeadline>;

/// The control plane, as a user of it.
#[derive(Debug, Clone)]
pub struct Client {
    control_plane: ControlPlane,
}

impl Client {
    /// Returns a client of the server at `socket`; nothing is connected yet.
    ///
    /// # Errors
    /// Fails when the path is too long for a socket.
    pub fn new(socket: &Path) -> anyhow::Result<Self> {
        Self::of_any(&[socket])
    }

    /// Returns a client of whichever of these servers answers.
    ///
    /// # Errors
    /// Fails when a path is too long for a socket.
    pub fn of_any(sockets: &[&Path]) -> anyhow::Result<Self> {
        let endpoint = |socket: &&Path| format!("unix:{}", socket.display()).parse::<Endpoint>();
        let endpoints: Result<Vec<_>, _> = sockets.iter().map(endpoint).collect();
        Ok(Self {
            control_plane: ControlPlane::new(endpoints?),
        })
    }

    /// Returns a client of servers on other hosts.
    #[must_use]
    pub fn remote(servers: Vec<Endpoint>, credentials: Credentials) -> Self {
        Self {
            control_plane: ControlPlane::with_credentials(servers, Some(credentials)),
        }
    }

    /// Returns the servers, as one of them sees them.
    ///
    /// # Errors
    /// Fails when the call does.
    pub async fn members(&self) -> anyhow::Result<Vec<ControlPlaneMember>> {
        Ok(self.describe_control_plane().await?.members)
    }

    /// Returns the term of the leader.
    ///
    /// # Errors
    /// Fails when the call does.
    pub async fn term(&self) -> anyhow::Result<i64> {
        let answer = self.describe_control_plane().await?;
        answer.term.context("the control plane has no term")
    }

    /// Returns how many load balancers are connected.
    ///
    /// # Errors
    /// Fails when the call does.
    pub async fn load_balancer_nodes(&self) -> anyhow::Result<usize> {
        Ok(self
            .describe_control_plane()
            .await?
            .load_balancer_nodes
            .len())
    }

    async fn describe_control_plane(&self) -> anyhow::Result<DescribeControlPlaneResponse> {
        let request = DescribeControlPlaneRequest {};
        let answer = self.console().await?.describe_control_plane(request).await;
        Ok(self.learned(answer)?.into_inner())
    }

    /// Returns every container instance of the default cluster.
    ///
    /// # Errors
    /// Fails when a call does.
    pub async fn container_instances(&self) -> anyhow::Result<Vec<ContainerInstance>> {
        let mut ecs = self.ecs().await?;
        let request = ListContainerInstancesRequest::default();
        let listed = ecs.list_container_instances(request).await?.into_inner();
        if listed.container_instance_arns.is_empty() {
            return Ok(Vec::new());
        }
        let request = DescribeContainerInstancesRequest {
            container_instances: listed.container_instance_arns,
            ..DescribeContainerInstancesRequest::default()
        };
        let answer = ecs.describe_container_instances(request).await?;
        Ok(answer.into_inner().container_instances)
    }

    /// Returns the names of all active clusters.
    ///
    /// # Errors
    /// Fails when a call does.
    pub async fn clusters(&self) -> anyhow::Result<BTreeSet<String>> {
        let (mut names, mut request) = (BTreeSet::new(), ListClustersRequest::default());
        loop {
            let answer = self.ecs().await?.list_clusters(request.clone()).await;
            let page = self.learned(answer)?.into_inner();
            let name = |arn: &String| Some(arn.rsplit_once('/')?.1.to_owned());
            names.extend(page.cluster_arns.iter().filter_map(name));
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                return Ok(names);
            }
        }
    }

    /// Returns the operations of ECS, for what has no verb below.
    ///
    /// # Errors
    /// Fails when the server cannot be reached.
    pub async fn ecs(&self) -> anyhow::Result<EcsClient<Channel>> {
        Ok(EcsClient::new(self.channel().await?))
    }

    /// Returns the operations of Certificate Manager.
    ///
    /// # Errors
    /// Fails when the server cannot be reached.
    pub async fn acm(&self) -> anyhow::Result<AcmClient<Channel>> {
        Ok(AcmClient::new(self.channel().await?))
    }

    /// Returns the operations of Elastic Load Balancing.
    ///
    /// # Errors
    /// Fails when the server cannot be reached.
    pub async fn elb(&self) -> anyhow::Result<ElbClient<Channel>> {
        Ok(ElbClient::new(self.channel().await?))
    }

    /// Returns the operations of the console.
    ///
    /// # Errors
    /// Fails when the server cannot be reached.
    pub async fn console(&self) -> anyhow::Result<ConsoleClient<Channel>> {
        Ok(ConsoleClient::new(self.channel().await?))
    }

    /// Registers a revision and returns its ARN.
    ///
    /// # Errors
    /// Fails when it is refused.
    pub async fn register(
        &self,
        definition: RegisterTaskDefinitionRequest,
    ) -> anyhow::Result<String> {
        let answer = self
            .ecs()
            .await?
            .register_task_definition(definition)
            .await?;
        answer
            .into_inner()
            .task_definition
            .and_then(|definition| definition.task_definition_arn)
            .context("the registered task definition has no ARN")
    }

    /// Moves a service to a revision.
    ///
    /// # Errors
    /// Fails when it is refused.
    pub async fn update_to(&self, service: &str, revision: &str) -> anyhow::Result<()> {
        self.update(UpdateServiceRequest {
            service: Some(service.to_owned()),
            task_definition: Some(revision.to_owned()),
            ..UpdateServiceRequest::default()
        })
        .await
    }

    /// Sets how many tasks a service has.
    ///
    /// # Errors
    /// Fails when it is refused.
    pub async fn scale(&self, service: &str, desired_count: i32) -> anyhow::Result<()> {
        self.update(UpdateServiceRequest {
            service: Some(service.to_owned()),
            desired_count: Some(desired_count),
            ..UpdateServiceRequest::default()
        })
        .await
    }

    async fn update(&self, request: UpdateServiceRequest) -> anyhow::Result<()> {
        self.ecs().await?.update_service(request).await?;
        Ok(())
    }

    /// Waits until `revision` is the service's only deployment and completed; returns what it cost.
    ///
    /// # Errors
    /// Fails after 90 s, and says how far it had come.
    pub async fn wait_for_rollout(&self, service: &str, revision: &str) -> anyhow::Result<Receipt> {
        let what = format!("rollout of {service} to {revision}");
        eventually(ROLLOUT_DEADLINE, &what, async || {
            let view = self.service_view(service).await?;
            if rolled_out(view.service.as_ref(), revision) {
                return Ok(view.receipts.into_iter().next());
            }
            bail!(
                "it is at {:?}",
                view.service.map(|service| service.deployments)
            )
        })
        .await
    }

    /// Returns the service as the console shows it now.
    ///
    /// # Errors
    /// Fails when there is no such service.
    pub async fn service_view(&self, service: &str) -> anyhow::Result<ServiceView> {
        let request = WatchServiceRequest {
            service: Some(service.to_owned()),
            ..WatchServiceRequest::default()
        };
        let views = self.console().await?.watch_service(request).await;
        // Only the leader has the counts; whoever else was asked names it.
        let mut views = self.learned(views)?.into_inner();
        tokio::time::timeout(CALL_DEADLINE, views.message())
            .await
            .context("no view of the service came in time")??
            .context("the view of the service ended before it began")
    }

    /// Returns the service's tasks whose desired status is `desired_status`.
    ///
    /// # Errors
    /// Fails when a call does.
    pub async fn tasks(&self, service: &str, desired_status: &str) -> anyhow::Result<Vec<Task>> {
        let mut ecs = self.ecs().await?;
        let mut request = ListTasksRequest {
            service_name: Some(service.to_owned()),
            desired_status: Some(desired_status.to_owned()),
            ..ListTasksRequest::default()
        };
        let mut arns = Vec::new();
        loop {
            let page = ecs.list_tasks(request.clone()).await?.into_inner();
            arns.extend(page.task_arns);
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                break;
            }
        }
        let mut tasks = Vec::new();
        for some in arns.chunks(TASKS_AT_ONCE) {
            let request = DescribeTasksRequest {
                tasks: some.to_vec(),
                ..DescribeTasksRequest::default()
            };
            tasks.extend(ecs.describe_tasks(request).await?.into_inner().tasks);
        }
        Ok(tasks)
    }

    /// Passes on an answer; a refusal by one server leads to another with the next call.
    ///
    /// # Errors
    /// Fails when the call has failed.
    pub fn learned<T>(&self, answer: Result<T, Status>) -> Result<T, Status> {
        answer.inspect_err(|status| {
            self.control_plane.learn(status);
        })
    }

    async fn channel(&self) -> anyhow::Result<Channel> {
        let channel = self.control_plane.connect().await?;
        Ok(InterceptedService::new(
            channel,
            set_deadline as SetDeadline,
        ))
    }
}

fn set_deadline(mut request: Request<()>) -> Result<Request<()>, Status> {
    request.set_timeout(CALL_DEADLINE);
    Ok(request)
}

fn rolled_out(service: Option<&Service>, revision: &str) -> bool {
    let deployments = service.map_or([].as_slice(), |service| service.deployments.as_slice());
    matches!(deployments, [only]
        if only.task_definition.as_deref() == Some(revision)
            && only.rollout_state.as_deref() == Some("COMPLETED"))
}
