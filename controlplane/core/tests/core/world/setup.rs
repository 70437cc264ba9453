//! How the world begins.

use std::collections::BTreeMap;
use std::time::Duration;

use roadstead_core::deployment::Resting;
use roadstead_core::id::{
    ContainerInstanceId, Family, JoinTokenId, ListenerId, ListenerRef, LoadBalancerName, NodeId,
    RuleId,
};
use roadstead_core::resources::{Protocol, Resources};
use roadstead_core::scheduler::default_strategy;
use roadstead_core::state::Identity;
use roadstead_core::state::container_instance::InstanceRegistration;
use roadstead_core::state::join::{Authority, JoinToken, Role, Server};
use roadstead_core::state::load_balancer::{Action, Condition, ListenerProtocol, Redirect, Rule};
use roadstead_core::state::service::{DeploymentConfiguration, ServiceLoadBalancer, ServiceSpec};
use roadstead_core::state::target_group::{
    Algorithm, Capacity, HealthCheckProtocol, ProtocolVersion, ProxyProtocol, Stickiness,
    TargetGroupSpec, TargetHealthCheck, TargetProtocol,
};
use roadstead_core::state::task_definition::{
    ContainerDefinition, NetworkMode, NewTaskDefinition, PortMapping,
};
use roadstead_core::{ClusterState, Command, Timestamp};

use super::{SERVICES, World, cluster, group, revision, service_id};

fn definition(family: &str, host_port: u16) -> NewTaskDefinition {
    NewTaskDefinition {
        family: Family::new(family),
        network_mode: NetworkMode::Bridge,
        containers: vec![ContainerDefinition {
            name: "app".into(),
            image: "app".into(),
            cpu_units: 64,
            memory_mib: Some(100),
            memory_reservation_mib: None,
            essential: true,
            port_mappings: vec![PortMapping {
                container_port: 80,
                host_port,
                protocol: Protocol::Tcp,
                name: None,
            }],
            environment: Vec::new(),
            command: Vec::new(),
            entry_point: Vec::new(),
            user: None,
            health_check: None,
            stop_timeout: None,
        }],
        cpu_units: None,
        memory_mib: None,
        requires_compatibilities: Vec::new(),
    }
}

impl World {
    /// Three instances, one load balancer, `web` behind it and `api` with a static port.
    pub(crate) fn new(minimum_healthy_percent: u32, maximum_percent: u32) -> Self {
        let (state, old) = (ClusterState::default(), ClusterState::default());
        let mut world = Self {
            state,
            old,
            log: Vec::new(),
            now: Timestamp(1_000_000),
            next_id: 0,
            resting: Resting::default(),
            instances: Vec::new(),
        };
        let at = world.now;
        world.must(&Command::CreateCluster { cluster: cluster() });
        for _ in 0..3 {
            let instance = world.register_instance();
            world.instances.push(instance);
        }
        for (family, port) in [("web", 0), ("api", 9000)] {
            for _ in 0..2 {
                world.must(&Command::RegisterTaskDefinition {
                    definition: definition(family, port),
                    at,
                });
            }
        }
        world.make_load_balancer();
        for index in 0..SERVICES.len() {
            world.create_service(index, 3, minimum_healthy_percent, maximum_percent);
        }
        world
    }

    pub(super) fn create_service(
        &mut self,
        index: usize,
        desired_count: u32,
        minimum_healthy_percent: u32,
        maximum_percent: u32,
    ) {
        let balancer = ServiceLoadBalancer {
            target_group: group(),
            container_name: "app".into(),
            container_port: 80,
        };
        let spec = ServiceSpec {
            task_definition: revision(SERVICES[index], 1),
            desired_count,
            load_balancers: if index == 0 {
                vec![balancer]
            } else {
                Vec::new()
            },
            deployment_configuration: DeploymentConfiguration {
                minimum_healthy_percent,
                maximum_percent,
            },
            placement_strategy: default_strategy(),
            health_check_grace_period_seconds: 0,
        };
        let (id, deployment, at) = (service_id(index), self.deployment(), self.now);
        self.must(&Command::CreateService {
            id,
            spec,
            deployment,
            at,
        });
    }

    pub(super) fn register_instance(&mut self) -> ContainerInstanceId {
        self.next_id += 1;
        let id = ContainerInstanceId::new(format!("instance-{}", self.next_id));
        let instance = InstanceRegistration {
            id: id.clone(),
            cluster: cluster(),
            host_name: "host".into(),
            address: "10.0.0.1".into(),
            agent_version: "1".into(),
            registered: Resources {
                cpu_units: 512,
                memory_mib: 700,
                ..Resources::default()
            },
            attributes: BTreeMap::new(),
        };
        self.must(&Command::RegisterContainerInstance {
            instance,
            at: self.now,
        });
        id
    }

    /// The control plane gets its name and authority, and a second server joins by a token.
    pub(crate) fn let_a_server_join(&mut self) {
        let at = self.now;
        self.must(&Command::NameControlPlane(Identity {
            control_plane_id: "0".repeat(32),
            region: "local".into(),
            account: "0".repeat(12),
            authority: Some(Authority {
                certificate: "certificate".into(),
                key: "key".into(),
            }),
        }));
        self.must(&Command::CreateJoinToken {
            token: JoinToken {
                id: JoinTokenId::new("token"),
                role: Role::Server,
                secret_hash: vec![7; 32],
                created_at: at,
                expires_at: at.after(Duration::from_secs(3600)),
            },
            at,
        });
        for admission in ["second", "third"] {
            self.must(&Command::AdmitServer {
                server: Server {
                    endpoint: "https://10.0.0.2:7443".into(),
                    admission: admission.into(),
                    admitted_at: at,
                    dismissed: false,
                },
                above: 1,
            });
        }
        self.must(&Command::DismissServer { id: 2 });
    }

    fn make_load_balancer(&mut self) {
        let (name, at) = (LoadBalancerName::new("main"), self.now);
        let health_check = TargetHealthCheck {
            protocol: HealthCheckProtocol::Http,
            path: "/".into(),
            interval: 5,
            timeout: 2,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            success_codes: vec![(200, 200)],
        };
        let spec = TargetGroupSpec {
            protocol: TargetProtocol::Http,
            proxy_protocol: ProxyProtocol::Off,
            protocol_version: ProtocolVersion::Http1,
            health_check,
            deregistration_delay: 30,
            algorithm: Algorithm::RoundRobin,
            slow_start: 0,
            stickiness: Stickiness::default(),
            capacity: Capacity::default(),
            prefers_own_zone: false,
        };
        self.must(&Command::CreateTargetGroup {
            name: group(),
            spec,
        });
        self.must(&Command::CreateLoadBalancer {
            name: name.clone(),
            at,
        });
        let id = ListenerRef {
            load_balancer: name,
            listener: ListenerId::new("l"),
        };
        self.must(&Command::CreateListener {
            id: id.clone(),
            port: 8080,
            protocol: ListenerProtocol::Http,
            attributes: Vec::new(),
            default: Action::forward_to(group()),
        });
        self.must(&Command::CreateRule {
            listener: id,
            id: RuleId::new("old-shop"),
            rule: Rule {
                priority: 10,
                conditions: vec![Condition::HostHeader(vec!["old.example.com".into()])],
                action: Action::Redirect(Redirect {
                    host: "shop.example.com".into(),
                    ..Redirect::default()
                }),
            },
        });
        self.must(&Command::RegisterLoadBalancerNode {
            node: NodeId::new("lb"),
            at,
        });
    }
}
