//! `ctl target-group`

mod settings;

use std::collections::HashMap;

use clap::Subcommand;
use roadstead_client::proto::console::{DescribeTrafficRequest, DescribeTrafficResponse};
use roadstead_client::proto::elb::{
    DeleteTargetGroupRequest, DescribeTargetGroupsRequest, DescribeTargetHealthRequest,
    TargetHealthDescription,
};

use super::name;
use crate::connection::Connection;
use crate::error::Error;
use crate::output;
use crate::output::arn::last_part;
use settings::{Settings, create_request, modify_request};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a target group.
    Create {
        /// Name of the new target group.
        name: String,
        /// What targets speak: HTTP1, HTTP2 or GRPC.
        #[arg(long, value_name = "VERSION")]
        protocol_version: Option<String>,
        /// Connections are passed on to it as they are, by listeners of TCP.
        #[arg(long, conflicts_with = "protocol_version")]
        tcp: bool,
        /// Targets are spoken to over TLS, and so are their health checks. Their certificates are not looked at.
        #[arg(long, conflicts_with = "tcp")]
        https: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Change how the targets of a group are probed, chosen and drained.
    Modify {
        /// Name or ARN of the target group.
        #[arg(value_name = "TARGET_GROUP")]
        target_group: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// List the target groups.
    #[command(visible_alias = "describe")]
    List {
        /// Only these; all of them when none is named.
        names: Vec<String>,
    },
    /// Show each target of a group and its health.
    Health {
        /// Name or ARN of the target group.
        #[arg(value_name = "TARGET_GROUP")]
        target_group: String,
    },
    /// Delete a target group that nothing uses any more.
    Delete {
        /// Name or ARN of the target group.
        #[arg(value_name = "TARGET_GROUP")]
        target_group: String,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Create {
            name,
            protocol_version,
            tcp,
            https,
            settings,
        } => {
            let protocol = match (tcp, https) {
                (true, _) => "TCP",
                (false, true) => "HTTPS",
                (false, false) => "HTTP",
            };
            let request = create_request(name, protocol, protocol_version, settings)?;
            let response = connection
                .elb(async |mut elb| elb.create_target_group(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::elb::target_groups(&response.target_groups)
            })
        }
        Command::Modify {
            target_group,
            settings,
        } => {
            let mut request = modify_request(settings)?;
            request.target_group_arn = Some(name::target_group(connection, &target_group).await?);
            let response = connection
                .elb(async |mut elb| elb.modify_target_group(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::elb::target_groups(&response.target_groups)
            })
        }
        Command::List { names } => list(connection, names).await,
        Command::Health { target_group } => {
            let arn = name::target_group(connection, &target_group).await?;
            let request = DescribeTargetHealthRequest {
                target_group_arn: Some(arn.clone()),
            };
            let mut response = connection
                .elb(async |mut elb| elb.describe_target_health(request.clone()).await)
                .await?;
            let traffic = connection
                .console(async |mut console| {
                    console.describe_traffic(DescribeTrafficRequest {}).await
                })
                .await?;
            add_last_probes(&mut response.target_health_descriptions, &arn, traffic);
            connection.show(&response, |response| {
                output::elb::target_health(&response.target_health_descriptions)
            })
        }
        Command::Delete { target_group } => {
            let arn = name::target_group(connection, &target_group).await?;
            let request = DeleteTargetGroupRequest {
                target_group_arn: Some(arn),
            };
            let response = connection
                .elb(async |mut elb| elb.delete_target_group(request.clone()).await)
                .await?;
            connection.show(&response, |_| {
                format!("target group {target_group} is deleted")
            })
        }
    }
}

/// Adds what each load balancer's last probe of a target came to.
fn add_last_probes(
    targets: &mut [TargetHealthDescription],
    group: &str,
    traffic: DescribeTrafficResponse,
) {
    let nodes = traffic.load_balancer_nodes.into_iter();
    let reports = nodes.flat_map(|node| node.targets);
    let of_group =
        reports.filter(|one| one.target_group_arn == group && !one.last_probe.is_empty());
    let mut probes: HashMap<String, Vec<String>> = HashMap::new();
    for report in of_group {
        let of_target = probes.entry(report.target_id).or_default();
        of_target.push(report.last_probe);
    }
    for target in targets {
        let task = target.task_arn.as_deref().map(last_part);
        target.last_probes = task.and_then(|id| probes.remove(id)).unwrap_or_default();
    }
}

async fn list(connection: &Connection, named: Vec<String>) -> Result<(), Error> {
    let (target_group_arns, names) = named.into_iter().partition(|text| text.starts_with("arn:"));
    let request = DescribeTargetGroupsRequest {
        target_group_arns,
        names,
    };
    let response = connection
        .elb(async |mut elb| elb.describe_target_groups(request.clone()).await)
        .await?;
    connection.show(&response, |response| {
        output::elb::target_groups(&response.target_groups)
    })
}
