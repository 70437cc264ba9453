//! Everything that the control plane knows, and the only way to change it.
//!
//! The maps are persistent (`imbl`), so a clone is a cheap, consistent snapshot. Indices and sums
//! are kept by the same functions that change what they are made of, and are rebuilt after loading.

pub mod certificate;
pub mod cluster;
pub mod container_instance;
mod forget;
pub mod join;
pub mod load_balancer;
pub mod node;
pub mod service;
pub mod target_group;
pub mod task;
pub mod task_definition;
mod token;

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::arn::Arns;
use crate::id::{
    CertificateId, ClusterName, ContainerInstanceId, Family, JoinTokenId, ListenerRef,
    LoadBalancerName, NodeId, ServiceId, TargetGroupName, TaskDefinitionId, TaskId,
};
use crate::{Command, Event, Rejection};
use certificate::Certificate;
use cluster::Cluster;
use container_instance::ContainerInstance;
use join::{Authority, JoinToken, Server};
use load_balancer::{Listener, LoadBalancer};
use node::LoadBalancerNode;
use service::Service;
use target_group::TargetGroup;
use task::Task;
use task_definition::TaskDefinition;

/// The replicated state. Its encoding is the disk format of a snapshot: fields are added with a
/// default, never renamed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterState {
    pub identity: Identity,
    /// Grows by one with each command that changed something.
    pub version: u64,
    /// The version at which a listener, rule, target group or target last changed.
    pub routing_version: u64,
    pub clusters: OrdMap<ClusterName, Arc<Cluster>>,
    /// The highest revision ever given to a family; revisions are never used again.
    pub families: OrdMap<Family, u32>,
    pub task_definitions: OrdMap<TaskDefinitionId, Arc<TaskDefinition>>,
    pub services: OrdMap<ServiceId, Arc<Service>>,
    pub tasks: OrdMap<TaskId, Arc<Task>>,
    pub container_instances: OrdMap<ContainerInstanceId, Arc<ContainerInstance>>,
    pub load_balancers: OrdMap<LoadBalancerName, Arc<LoadBalancer>>,
    pub target_groups: OrdMap<TargetGroupName, Arc<TargetGroup>>,
    pub listeners: OrdMap<ListenerRef, Arc<Listener>>,
    pub load_balancer_nodes: OrdMap<NodeId, Arc<LoadBalancerNode>>,
    #[serde(default)]
    pub certificates: OrdMap<CertificateId, Arc<Certificate>>,
    /// The fingerprint of the key that seals secrets; the key itself is on the servers' disks, and in no state.
    #[serde(default)]
    pub sealing_key: Option<String>,
    #[serde(default)]
    pub join_tokens: OrdMap<JoinTokenId, Arc<JoinToken>>,
    /// Every server that ever joined, by its number among the members; numbers are never used again.
    #[serde(default)]
    pub servers: OrdMap<u64, Arc<Server>>,
    /// Invariant: the tasks that have not stopped, by the instance they are placed on.
    #[serde(skip)]
    live_by_instance: OrdSet<(ContainerInstanceId, TaskId)>,
    /// Invariant: the service tasks that have not stopped, by their service.
    #[serde(skip)]
    live_by_service: OrdSet<(ServiceId, TaskId)>,
    /// Invariant: the standalone tasks that have not stopped, by their group.
    #[serde(skip)]
    live_by_group: OrdSet<(ClusterName, String, TaskId)>,
}

/// Who this control plane is; set once, when it is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Empty until the first leader has named it.
    pub control_plane_id: String,
    pub region: String,
    pub account: String,
    /// The certificate authority of all links.
    #[serde(default)]
    pub authority: Option<Authority>,
}

impl ClusterState {
    /// Applies one committed command. A rejected command leaves the state untouched.
    ///
    /// # Errors
    /// Returns the rule that refused the command.
    pub fn apply(&mut self, command: Command) -> Result<Vec<Event>, Rejection> {
        // Counted first so that a change can say in which version it came; a rejection undoes it.
        self.version += 1;
        let outcome = self.dispatch(command);
        if !matches!(&outcome, Ok(events) if !events.is_empty()) {
            self.version -= 1;
        }
        outcome
    }

    fn dispatch(&mut self, command: Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::NameControlPlane(identity) => self.name_control_plane(identity),
            Command::CreateCluster { cluster } => self.create_cluster(cluster),
            Command::DeleteCluster { cluster } => self.delete_cluster(&cluster),
            Command::RegisterTaskDefinition { definition, at } => {
                self.register_task_definition(definition, at)
            }
            Command::DeregisterTaskDefinition { id, at } => {
                self.deregister_task_definition(&id, at)
            }
            Command::CreateService {
                id,
                spec,
                deployment,
                at,
            } => self.create_service(id, spec, deployment, at),
            Command::UpdateService {
                id,
                update,
                deployment,
                at,
            } => self.update_service(&id, update, deployment, at),
            Command::DeleteService { id, force, at } => self.delete_service(&id, force, at),
            Command::StartTasks { tasks, at } => self.start_tasks(tasks, at),
            Command::StopTasks {
                tasks,
                code,
                reason,
                at,
            } => self.stop_tasks(&tasks, code, &reason, at),
            Command::SubmitTaskStateChanges { changes, at } => self.task_state_changes(changes, at),
            Command::Forget {
                tasks,
                services,
                container_instances,
            } => Ok(self.forget(&tasks, &services, &container_instances)),
            Command::RegisterContainerInstance { instance, at } => {
                self.register_container_instance(instance, at)
            }
            Command::SetAgentConnected { id, connected, at } => {
                self.set_agent_connected(&id, connected, at)
            }
            Command::SetContainerInstanceStatus { id, status } => {
                self.set_container_instance_status(&id, status)
            }
            Command::DeregisterContainerInstance { id, force, at } => {
                self.deregister_container_instance(&id, force, at)
            }
            Command::ReportSteadyState { service, at } => self.report_steady_state(&service, at),
            Command::ReportProblem {
                service,
                message,
                at,
            } => self.report_problem(&service, &message, at),
            Command::CompleteDeployment {
                service,
                deployment,
                counts,
                at,
            } => self.complete_deployment(&service, deployment, counts, at),
            Command::FinishServiceDeletion { service, at } => {
                self.finish_service_deletion(&service, at)
            }
            Command::SetTargetHealth {
                task,
                target_group,
                health,
                at,
            } => self.set_target_health(&task, &target_group, &health, at),
            Command::FinishDrain { task } => self.finish_drain(&task),
            Command::CreateLoadBalancer { name, at } => self.create_load_balancer(name, at),
            Command::DeleteLoadBalancer { name } => self.delete_load_balancer(&name),
            Command::CreateTargetGroup { name, spec } => self.create_target_group(name, spec),
            Command::ModifyTargetGroup { name, spec, before } => {
                self.modify_target_group(&name, spec, before.as_deref())
            }
            Command::DeleteTargetGroup { name } => self.delete_target_group(&name),
            Command::CreateListener {
                id,
                port,
                protocol,
                attributes,
                default,
            } => self.create_listener(id, port, protocol, attributes, default),
            Command::DeleteListener { id } => self.delete_listener(&id),
            Command::CreateRule { listener, id, rule } => self.create_rule(&listener, id, rule),
            Command::DeleteRule { listener, id } => self.delete_rule(&listener, &id),
            Command::RegisterLoadBalancerNode { node, at } => self.register_node(node, at),
            Command::ForgetLoadBalancerNode { node } => self.forget_node(&node),
            Command::CreateJoinToken { token, at } => self.create_join_token(token, at),
            Command::DeleteJoinToken { id } => self.delete_join_token(&id),
            Command::DismissServer { id } => Ok(self.dismiss_server(id)),
            Command::AdmitServer { server, above } => self.admit_server(server, above),
            Command::ModifyListener {
                id,
                protocol,
                attributes,
                default,
            } => self.modify_listener(&id, protocol, attributes, default),
            Command::AddListenerCertificates { id, certificates } => {
                self.add_listener_certificates(&id, &certificates)
            }
            Command::RemoveListenerCertificates { id, certificates } => {
                self.remove_listener_certificates(&id, &certificates)
            }
            Command::NameSealingKey {
                fingerprint,
                replaces,
            } => self.name_sealing_key(fingerprint, replaces.as_deref()),
            Command::ImportCertificate {
                certificate,
                replaces,
            } => self.import_certificate(certificate, replaces),
            Command::DeleteCertificate { id } => self.delete_certificate(&id),
            Command::PauseService { id, until, at } => self.pause_service(&id, until, at),
            Command::ModifyRule {
                listener,
                id,
                conditions,
                action,
            } => self.modify_rule(&listener, &id, conditions, action),
            Command::SetRulePriorities { priorities } => self.set_rule_priorities(&priorities),
        }
    }

    fn name_control_plane(&mut self, identity: Identity) -> Result<Vec<Event>, Rejection> {
        if !self.identity.control_plane_id.is_empty() {
            return Err(Rejection::stale("the control plane has its name already"));
        }
        self.identity = identity;
        Ok(vec![Event::RoutingChanged])
    }

    /// Returns the maker of ARNs for this control plane.
    #[must_use]
    pub fn arns(&self) -> Arns {
        Arns::new(&self.identity.region, &self.identity.account)
    }

    /// Returns the tasks on `instance` that have not stopped.
    pub fn live_tasks_on(
        &self,
        instance: &ContainerInstanceId,
    ) -> impl Iterator<Item = &Arc<Task>> {
        let first = (instance.clone(), TaskId::new(""));
        self.live_by_instance
            .range(first..)
            .take_while(move |(on, _)| on == instance)
            .filter_map(|(_, task)| self.tasks.get(task))
    }

    /// Returns the tasks of `service` that have not stopped.
    pub fn live_tasks_of(&self, service: &ServiceId) -> impl Iterator<Item = &Arc<Task>> {
        let first = (service.clone(), TaskId::new(""));
        self.live_by_service
            .range(first..)
            .take_while(move |(of, _)| of == service)
            .filter_map(|(_, task)| self.tasks.get(task))
    }

    /// Returns the standalone tasks of `group` that have not stopped.
    pub fn live_tasks_in_group(
        &self,
        cluster: &ClusterName,
        group: &str,
    ) -> impl Iterator<Item = &Arc<Task>> {
        let first = (cluster.clone(), group.to_owned(), TaskId::new(""));
        let same = first.clone();
        self.live_by_group
            .range(first..)
            .take_while(move |(of, name, _)| *of == same.0 && *name == same.1)
            .filter_map(|(.., task)| self.tasks.get(task))
    }

    /// Rebuilds what is not stored; to be called once after a snapshot has been read.
    pub fn rebuild_indices(&mut self) {
        self.live_by_instance.clear();
        self.live_by_service.clear();
        self.live_by_group.clear();
        let live: Vec<_> = self
            .tasks
            .values()
            .filter(|task| !task.stopped())
            .cloned()
            .collect();
        for task in live {
            self.index_task(&task);
        }
    }

    fn index_task(&mut self, task: &Task) {
        self.live_by_instance
            .insert((task.container_instance.clone(), task.id.clone()));
        if let Some(service) = task.service_id() {
            self.live_by_service.insert((service, task.id.clone()));
        } else {
            self.live_by_group.insert(group_key(task));
        }
    }

    fn unindex_task(&mut self, task: &Task) {
        self.live_by_instance
            .remove(&(task.container_instance.clone(), task.id.clone()));
        if let Some(service) = task.service_id() {
            self.live_by_service.remove(&(service, task.id.clone()));
        } else {
            self.live_by_group.remove(&group_key(task));
        }
    }
}

fn group_key(task: &Task) -> (ClusterName, String, TaskId) {
    (task.cluster.clone(), task.group.clone(), task.id.clone())
}
