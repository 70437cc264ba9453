//! Every write, as the log stores it.
//!
//! The encoding names variants and fields: variants are appended, fields are added with a default,
//! nothing is renamed. Time and ids are made by whoever proposes the command.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{
    CertificateId, ClusterName, ContainerInstanceId, DeploymentId, JoinTokenId, ListenerRef,
    LoadBalancerName, NodeId, RuleId, ServiceId, TargetGroupName, TaskDefinitionId, TaskId,
};
use crate::state::Identity;
use crate::state::certificate::Certificate;
use crate::state::container_instance::{InstanceRegistration, InstanceStatus};
use crate::state::join::{JoinToken, Server};
use crate::state::load_balancer::{
    Action, Condition, ListenerAttribute, ListenerProtocol, Rule, action,
};
use crate::state::service::{Counts, ServiceSpec, ServiceUpdate};
use crate::state::target_group::TargetGroupSpec;
use crate::state::task::{NewTask, StopCode, TargetHealth};
use crate::state::task_definition::NewTaskDefinition;

pub use crate::state::task::TaskStateChange;

/// One write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Gives the control plane its identity; the first leader does it once.
    NameControlPlane(Identity),

    CreateCluster {
        cluster: ClusterName,
    },
    DeleteCluster {
        cluster: ClusterName,
    },

    RegisterTaskDefinition {
        definition: NewTaskDefinition,
        at: Timestamp,
    },
    DeregisterTaskDefinition {
        id: TaskDefinitionId,
        at: Timestamp,
    },

    CreateService {
        id: ServiceId,
        spec: ServiceSpec,
        deployment: DeploymentId,
        at: Timestamp,
    },
    /// `deployment` is used only when the update makes a new deployment.
    UpdateService {
        id: ServiceId,
        update: ServiceUpdate,
        deployment: DeploymentId,
        at: Timestamp,
    },
    DeleteService {
        id: ServiceId,
        force: bool,
        at: Timestamp,
    },
    ReportSteadyState {
        service: ServiceId,
        at: Timestamp,
    },
    ReportProblem {
        service: ServiceId,
        message: String,
        at: Timestamp,
    },
    CompleteDeployment {
        service: ServiceId,
        deployment: DeploymentId,
        counts: Counts,
        at: Timestamp,
    },
    FinishServiceDeletion {
        service: ServiceId,
        at: Timestamp,
    },

    /// Places and starts all of these tasks, or none.
    StartTasks {
        tasks: Vec<NewTask>,
        at: Timestamp,
    },
    StopTasks {
        tasks: Vec<TaskId>,
        code: StopCode,
        reason: String,
        at: Timestamp,
    },
    /// What an agent observed.
    SubmitTaskStateChanges {
        changes: Vec<TaskStateChange>,
        at: Timestamp,
    },
    /// Drops what ended long ago: stopped tasks, deleted services, deregistered instances.
    Forget {
        tasks: Vec<TaskId>,
        services: Vec<ServiceId>,
        container_instances: Vec<ContainerInstanceId>,
    },

    RegisterContainerInstance {
        instance: InstanceRegistration,
        at: Timestamp,
    },
    SetAgentConnected {
        id: ContainerInstanceId,
        connected: bool,
        at: Timestamp,
    },
    SetContainerInstanceStatus {
        id: ContainerInstanceId,
        status: InstanceStatus,
    },
    DeregisterContainerInstance {
        id: ContainerInstanceId,
        force: bool,
        at: Timestamp,
    },

    /// The verdict of all load balancers together.
    SetTargetHealth {
        task: TaskId,
        target_group: TargetGroupName,
        health: TargetHealth,
        at: Timestamp,
    },
    /// Every load balancer has let go of the task, or the deregistration delay has passed.
    FinishDrain {
        task: TaskId,
    },

    CreateLoadBalancer {
        name: LoadBalancerName,
        at: Timestamp,
    },
    DeleteLoadBalancer {
        name: LoadBalancerName,
    },
    CreateTargetGroup {
        name: TargetGroupName,
        spec: TargetGroupSpec,
    },
    ModifyTargetGroup {
        name: TargetGroupName,
        spec: TargetGroupSpec,
        /// What it was when that was decided.
        #[serde(default)]
        before: Option<Box<TargetGroupSpec>>,
    },
    DeleteTargetGroup {
        name: TargetGroupName,
    },
    CreateListener {
        id: ListenerRef,
        port: u16,
        #[serde(default)]
        protocol: ListenerProtocol,
        #[serde(default)]
        attributes: Vec<ListenerAttribute>,
        #[serde(deserialize_with = "action::stored")]
        default: Action,
    },
    DeleteListener {
        id: ListenerRef,
    },
    CreateRule {
        listener: ListenerRef,
        id: RuleId,
        rule: Rule,
    },
    DeleteRule {
        listener: ListenerRef,
        id: RuleId,
    },
    RegisterLoadBalancerNode {
        node: NodeId,
        at: Timestamp,
    },
    ForgetLoadBalancerNode {
        node: NodeId,
    },

    /// Lets whoever knows the secret of `token` join, for a while.
    CreateJoinToken {
        token: JoinToken,
        at: Timestamp,
    },
    DeleteJoinToken {
        id: JoinTokenId,
    },
    /// A server is gone for good: its number joins no more.
    DismissServer {
        id: u64,
    },
    /// Gives a server that joins its number, above all that were ever given and above `above`.
    AdmitServer {
        server: Server,
        above: u64,
    },

    ModifyListener {
        id: ListenerRef,
        /// What it is to speak, and what it spoke when that was decided.
        protocol: Option<(ListenerProtocol, ListenerProtocol)>,
        #[serde(default)]
        attributes: Vec<ListenerAttribute>,
        default: Option<Action>,
    },
    ModifyRule {
        listener: ListenerRef,
        id: RuleId,
        conditions: Option<Vec<Condition>>,
        action: Option<Action>,
    },
    AddListenerCertificates {
        id: ListenerRef,
        certificates: Vec<CertificateId>,
    },
    RemoveListenerCertificates {
        id: ListenerRef,
        certificates: Vec<CertificateId>,
    },
    /// Names the key that seals secrets, which is on the disks of a majority.
    NameSealingKey {
        fingerprint: String,
        /// The one that it takes the place of, which no server has any more.
        replaces: Option<String>,
    },
    ImportCertificate {
        certificate: Certificate,
        /// There must be one with this id.
        replaces: bool,
    },
    DeleteCertificate {
        id: CertificateId,
    },
    /// Gives rules of one listener other priorities, all at once.
    SetRulePriorities {
        priorities: Vec<(ListenerRef, RuleId, u32)>,
    },
    /// Has the load balancers hold a service's requests until then; `None` lets them go.
    PauseService {
        id: ServiceId,
        until: Option<Timestamp>,
        at: Timestamp,
    },
}
