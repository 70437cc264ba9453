//! What a write changed, in the past tense: for logs and tests. Loops are woken by the new
//! snapshot, and look at all of it.

use crate::id::{
    ClusterName, ContainerInstanceId, DeploymentId, JoinTokenId, NodeId, ServiceId,
    TargetGroupName, TaskDefinitionId, TaskId,
};
use crate::state::task::LastStatus;

/// One change that an applied command made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    ClusterCreated(ClusterName),
    ClusterDeleted(ClusterName),
    TaskDefinitionRegistered(TaskDefinitionId),
    TaskDefinitionDeregistered(TaskDefinitionId),
    ServiceCreated(ServiceId),
    ServiceUpdated(ServiceId),
    ServiceDeleted(ServiceId),
    ServiceForgotten(ServiceId),
    DeploymentStarted(ServiceId, DeploymentId),
    DeploymentCompleted(ServiceId, DeploymentId),
    TaskStarted(TaskId, ContainerInstanceId),
    TaskStopRequested(TaskId),
    TaskStatusChanged(TaskId, LastStatus),
    TaskForgotten(TaskId),
    TargetHealthChanged(TaskId, TargetGroupName),
    TargetsDrained(TaskId),
    ContainerInstanceRegistered(ContainerInstanceId),
    ContainerInstanceChanged(ContainerInstanceId),
    ContainerInstanceDeregistered(ContainerInstanceId),
    ContainerInstanceForgotten(ContainerInstanceId),
    RoutingChanged,
    LoadBalancerNodeRegistered(NodeId),
    LoadBalancerNodeForgotten(NodeId),
    JoinTokenCreated(JoinTokenId),
    JoinTokenDeleted(JoinTokenId),
    ServerAdmitted(u64),
    ServerDismissed(u64),
    SealingKeyNamed,
}
