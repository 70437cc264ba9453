//! Forgets what ended long ago: stopped tasks, deleted services, deregistered instances.

use std::time::Duration;

use roadstead_core::id::ContainerInstanceId;
use roadstead_core::state::container_instance::InstanceStatus;
use roadstead_core::state::service::ServiceStatus;
use roadstead_core::{ClusterState, Command, Timestamp};

use crate::clock;
use crate::leader::Reign;

pub(super) fn decide(state: &ClusterState, reign: &Reign, retention: Duration) -> Vec<Command> {
    let silent = |id: &ContainerInstanceId| reign.presence.agent_silence(id) > retention;
    forget(state, clock::now(), retention, silent)
}

fn forget(
    state: &ClusterState,
    now: Timestamp,
    retention: Duration,
    silent: impl Fn(&ContainerInstanceId) -> bool,
) -> Vec<Command> {
    let is_over = |at: Timestamp| now.since(at) > retention;
    let tasks: Vec<_> = state
        .tasks
        .values()
        .filter(|task| task.stopped() && task.times.stopped.is_some_and(is_over))
        .map(|task| task.id.clone())
        .collect();
    let services: Vec<_> = state
        .services
        .values()
        .filter(|service| service.status == ServiceStatus::Inactive)
        .filter(|service| is_over(service.primary().updated_at))
        .map(|service| service.id.clone())
        .collect();
    // An agent that still asks must go on to hear that its instance was deregistered: forgotten, it
    // would be taken for a new one.
    let container_instances: Vec<_> = state
        .container_instances
        .values()
        .filter(|instance| instance.status == InstanceStatus::Inactive)
        .filter(|instance| is_over(instance.connection_changed_at))
        .filter(|instance| silent(&instance.id))
        .map(|instance| instance.id.clone())
        .collect();
    if tasks.is_empty() && services.is_empty() && container_instances.is_empty() {
        return Vec::new();
    }
    vec![Command::Forget {
        tasks,
        services,
        container_instances,
    }]
}

#[cfg(test)]
mod tests {
    use roadstead_core::id::ClusterName;
    use roadstead_core::resources::Resources;
    use roadstead_core::state::container_instance::InstanceRegistration;

    use super::*;

    const RETENTION: Duration = Duration::from_secs(60);
    const BEGIN: Timestamp = Timestamp(1_000_000);

    /// A state with one instance, deregistered at `BEGIN`.
    fn state() -> ClusterState {
        let cluster = ClusterName::new("default");
        let id = ContainerInstanceId::new("one");
        let instance = InstanceRegistration {
            id: id.clone(),
            cluster: cluster.clone(),
            host_name: "host".into(),
            address: "10.0.0.1".into(),
            agent_version: "1".into(),
            registered: Resources::default(),
            attributes: std::collections::BTreeMap::new(),
        };
        let mut state = ClusterState::default();
        for command in [
            Command::CreateCluster { cluster },
            Command::RegisterContainerInstance {
                instance,
                at: BEGIN,
            },
            Command::DeregisterContainerInstance {
                id,
                force: false,
                at: BEGIN,
            },
        ] {
            state.apply(command).unwrap();
        }
        state
    }

    #[test]
    fn a_deregistered_instance_is_forgotten_when_its_agent_has_gone_silent() {
        let mut state = state();
        let late = BEGIN.after(RETENTION + Duration::from_secs(1));
        assert_eq!(forget(&state, BEGIN, RETENTION, |_| true), []);
        assert_eq!(forget(&state, late, RETENTION, |_| false), []);
        let commands = forget(&state, late, RETENTION, |_| true);
        for command in commands {
            state.apply(command).unwrap();
        }
        assert!(state.container_instances.is_empty());
        assert_eq!(forget(&state, late, RETENTION, |_| true), []);
    }
}
