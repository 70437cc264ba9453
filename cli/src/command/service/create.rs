//! `ctl service create`: from flags, or from a file that the flags override.

use roadstead_client::proto::ecs::{CreateServiceRequest, DeploymentConfiguration, LoadBalancer};

use crate::command::name;
use crate::connection::Connection;
use crate::error::Error;
use crate::{input, output};

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Create {
    /// Name of the new service.
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// JSON in the shape of the AWS CLI's --cli-input-json; `-` reads standard input. Flags override it.
    #[arg(long)]
    file: Option<String>,
    /// Family with or without a revision, or ARN.
    #[arg(
        long,
        required_unless_present = "file",
        value_name = "FAMILY[:REVISION]"
    )]
    task_definition: Option<String>,
    /// How many tasks to keep running.
    #[arg(long, value_name = "COUNT")]
    desired_count: Option<i32>,
    /// Sends a target group's traffic to a container's port.
    #[arg(long = "load-balancer", value_name = "TARGET_GROUP:CONTAINER:PORT")]
    load_balancers: Vec<String>,
    #[command(flatten)]
    rollout: Rollout,
}

/// How deployments of the service proceed.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct Rollout {
    /// Least healthy tasks during a deployment, in percent of the desired count.
    #[arg(long, value_name = "PERCENT")]
    pub(super) minimum_healthy_percent: Option<i32>,
    /// Most running and pending tasks during a deployment, in percent of the desired count.
    #[arg(long, value_name = "PERCENT")]
    pub(super) maximum_percent: Option<i32>,
    /// How long a new task's failing health checks are ignored.
    #[arg(long, value_name = "SECONDS")]
    pub(super) health_check_grace_period: Option<i32>,
}

impl Rollout {
    /// Returns the configuration with what the flags say; `None` when neither says anything.
    pub(super) fn over(
        &self,
        below: Option<DeploymentConfiguration>,
    ) -> Option<DeploymentConfiguration> {
        let below = below.unwrap_or_default();
        let configuration = DeploymentConfiguration {
            maximum_percent: self.maximum_percent.or(below.maximum_percent),
            minimum_healthy_percent: self
                .minimum_healthy_percent
                .or(below.minimum_healthy_percent),
        };
        (configuration != DeploymentConfiguration::default()).then_some(configuration)
    }
}

pub(super) async fn run(connection: &Connection, create: Create) -> Result<(), Error> {
    let file = match &create.file {
        Some(file) => input::read(file)?,
        None => CreateServiceRequest::default(),
    };
    let mut request = overlaid(file, create, connection.cluster.clone())?;
    for load_balancer in &mut request.load_balancers {
        let named = load_balancer
            .target_group_arn
            .as_deref()
            .unwrap_or_default();
        load_balancer.target_group_arn = Some(name::target_group(connection, named).await?);
    }
    let response = connection
        .ecs(async |mut ecs| ecs.create_service(request.clone()).await)
        .await?;
    connection.show(&response, |response| {
        output::service::services(response.service.as_slice())
    })
}

/// The file says which cluster only where neither flag, environment nor context does.
fn overlaid(
    file: CreateServiceRequest,
    flags: Create,
    cluster: Option<String>,
) -> Result<CreateServiceRequest, Error> {
    let load_balancers = if flags.load_balancers.is_empty() {
        file.load_balancers
    } else {
        flags
            .load_balancers
            .iter()
            .map(|text| load_balancer(text))
            .collect::<Result<_, _>>()?
    };
    Ok(CreateServiceRequest {
        cluster: cluster.or(file.cluster),
        service_name: flags.name.or(file.service_name),
        task_definition: flags.task_definition.or(file.task_definition),
        load_balancers,
        desired_count: flags.desired_count.or(file.desired_count),
        deployment_configuration: flags.rollout.over(file.deployment_configuration),
        health_check_grace_period_seconds: flags
            .rollout
            .health_check_grace_period
            .or(file.health_check_grace_period_seconds),
        client_token: file.client_token,
        launch_type: file.launch_type,
        placement_constraints: file.placement_constraints,
        placement_strategy: file.placement_strategy,
        scheduling_strategy: file.scheduling_strategy,
    })
}

/// Reads `TARGET_GROUP:CONTAINER:PORT`; the target group may be an ARN, which has colons of its own.
fn load_balancer(text: &str) -> Result<LoadBalancer, Error> {
    let mut parts = text.rsplitn(3, ':');
    let port = parts.next().and_then(|port| port.parse::<i32>().ok());
    let (Some(port), Some(container), Some(target_group)) = (port, parts.next(), parts.next())
    else {
        return Err(Error::Unfit(format!(
            "load balancer `{text}` is not of the form TARGET_GROUP:CONTAINER:PORT"
        )));
    };
    Ok(LoadBalancer {
        target_group_arn: Some(target_group.to_owned()),
        container_name: Some(container.to_owned()),
        container_port: Some(port),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_balancer_may_be_named_by_an_arn_with_colons() {
        let arn = "arn:aws:elasticloadbalancing:r:1:targetgroup/web/1";
        let parsed = load_balancer(&format!("{arn}:app:80")).unwrap();
        assert_eq!(parsed.target_group_arn.as_deref(), Some(arn));
        assert_eq!(parsed.container_name.as_deref(), Some("app"));
        assert_eq!(parsed.container_port, Some(80));
    }

    #[test]
    fn an_incomplete_load_balancer_is_refused() {
        for text in ["web", "web:app", "web:app:http"] {
            let error = load_balancer(text).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn flags_override_the_file_key_by_key() {
        let file = CreateServiceRequest {
            service_name: Some("from-file".into()),
            desired_count: Some(2),
            deployment_configuration: Some(DeploymentConfiguration {
                maximum_percent: Some(150),
                minimum_healthy_percent: Some(50),
            }),
            ..CreateServiceRequest::default()
        };
        let flags = Create {
            desired_count: Some(4),
            rollout: Rollout {
                maximum_percent: Some(120),
                ..Rollout::default()
            },
            ..Create::default()
        };
        let request = overlaid(file, flags, Some("prod".into())).unwrap();
        assert_eq!(request.service_name.as_deref(), Some("from-file"));
        assert_eq!(request.cluster.as_deref(), Some("prod"));
        assert_eq!(request.desired_count, Some(4));
        let configuration = request.deployment_configuration.unwrap();
        assert_eq!(configuration.maximum_percent, Some(120));
        assert_eq!(configuration.minimum_healthy_percent, Some(50));
    }

    #[test]
    fn a_deployment_configuration_is_sent_only_when_there_is_one() {
        assert_eq!(Rollout::default().over(None), None);
    }
}
