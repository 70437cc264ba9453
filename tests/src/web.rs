//! The sample service behind a listener: what most stories roll out.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context;
use roadstead_client::proto::ecs::{
    ContainerDefinition, CreateServiceRequest, DeploymentConfiguration, KeyValuePair, LoadBalancer,
    PortMapping, RegisterTaskDefinitionRequest,
};
use roadstead_client::proto::elb::{
    Action, CreateListenerRequest, CreateLoadBalancerRequest, CreateTargetGroupRequest,
    TargetGroupAttribute,
};

use crate::Client;
use crate::http::Url;

/// The name of the service, its family, its container and its target group.
pub const WEB: &str = "web";
/// Far more than the sample service needs, and little enough to run out of.
const MEMORY_MIB: i32 = 32;

/// A service of the revision that runs `sample:v1`.
#[derive(Debug)]
pub struct Web {
    /// Where the load balancer answers for it.
    pub url: Url,
    /// The ARN of the revision that it started with.
    pub revision: String,
}

impl Web {
    /// Creates the service with so many tasks, and waits until all of them serve.
    ///
    /// # Errors
    /// Fails when a step is refused, or not every task comes up.
    pub async fn start(client: &Client, tasks: i32) -> anyhow::Result<Self> {
        Self::start_with(client, tasks, definition(&[container("sample:v1", &[])])).await
    }

    /// Does the same with another definition, whose container `web` listens on 8080 and answers `/health`.
    ///
    /// # Errors
    /// Fails when a step is refused, or not every task comes up.
    pub async fn start_with(
        client: &Client,
        tasks: i32,
        definition: RegisterTaskDefinitionRequest,
    ) -> anyhow::Result<Self> {
        let revision = client.register(definition).await?;
        let port = free_port()?;
        let target_group = listen(client, port).await?;
        let request = CreateServiceRequest {
            service_name: Some(WEB.to_owned()),
            task_definition: Some(revision.clone()),
            desired_count: Some(tasks),
            load_balancers: vec![LoadBalancer {
                target_group_arn: Some(target_group),
                container_name: Some(WEB.to_owned()),
                container_port: Some(8080),
            }],
            // Half as many again while it rolls out: the rest of the machine is for the load.
            deployment_configuration: Some(DeploymentConfiguration {
                maximum_percent: Some(150),
                minimum_healthy_percent: Some(100),
            }),
            ..CreateServiceRequest::default()
        };
        client.ecs().await?.create_service(request).await?;
        client.wait_for_rollout(WEB, &revision).await?;
        Ok(Self {
            url: Url::local(port, "/"),
            revision,
        })
    }

    /// Returns where a load balancer on another host answers for it.
    #[must_use]
    pub fn url_at(&self, address: Ipv4Addr) -> Url {
        self.url.at(address)
    }
}

/// Returns a revision of `web` with these containers.
#[must_use]
pub fn definition(containers: &[ContainerDefinition]) -> RegisterTaskDefinitionRequest {
    RegisterTaskDefinitionRequest {
        family: Some(WEB.to_owned()),
        network_mode: Some("bridge".to_owned()),
        container_definitions: containers.to_vec(),
        ..RegisterTaskDefinitionRequest::default()
    }
}

/// Returns the container `web`: port 8080 on a dynamic host port, 32 MiB, five seconds to stop.
#[must_use]
pub fn container(image: &str, environment: &[(&str, &str)]) -> ContainerDefinition {
    let pair = |(name, value): &(&str, &str)| KeyValuePair {
        name: Some((*name).to_owned()),
        value: Some((*value).to_owned()),
    };
    ContainerDefinition {
        name: Some(WEB.to_owned()),
        image: Some(image.to_owned()),
        memory: Some(MEMORY_MIB),
        essential: Some(true),
        port_mappings: vec![PortMapping {
            container_port: Some(8080),
            ..PortMapping::default()
        }],
        environment: environment.iter().map(pair).collect(),
        stop_timeout: Some(5),
        ..ContainerDefinition::default()
    }
}

/// Creates a load balancer with one listener that forwards to one target group; returns the group's ARN.
async fn listen(client: &Client, port: u16) -> anyhow::Result<String> {
    let mut elb = client.elb().await?;
    let request = CreateTargetGroupRequest {
        name: Some(WEB.to_owned()),
        health_check_path: Some("/health".to_owned()),
        health_check_interval_seconds: Some(5),
        health_check_timeout_seconds: Some(2),
        attributes: vec![TargetGroupAttribute {
            key: Some("deregistration_delay.timeout_seconds".to_owned()),
            value: Some("30".to_owned()),
        }],
        ..CreateTargetGroupRequest::default()
    };
    let groups = elb
        .create_target_group(request)
        .await?
        .into_inner()
        .target_groups;
    let target_group = groups
        .into_iter()
        .next()
        .and_then(|group| group.target_group_arn);
    let request = CreateLoadBalancerRequest {
        name: Some(WEB.to_owned()),
        ..CreateLoadBalancerRequest::default()
    };
    let balancers = elb
        .create_load_balancer(request)
        .await?
        .into_inner()
        .load_balancers;
    let balancer = balancers.into_iter().next();
    let request = CreateListenerRequest {
        load_balancer_arn: balancer.and_then(|balancer| balancer.load_balancer_arn),
        protocol: Some("HTTP".to_owned()),
        port: Some(i32::from(port)),
        default_actions: vec![Action {
            r#type: Some("forward".to_owned()),
            target_group_arn: target_group.clone(),
            ..Action::default()
        }],
        ..CreateListenerRequest::default()
    };
    elb.create_listener(request).await?;
    target_group.context("the target group has no ARN")
}

/// Returns a port that nobody listens on at the moment.
///
/// # Errors
/// Fails when the system has none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
