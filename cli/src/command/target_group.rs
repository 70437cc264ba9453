//! `ctl target-group`

use clap::Subcommand;
use roadstead_client::proto::elb::{
    CreateTargetGroupRequest, DeleteTargetGroupRequest, DescribeTargetGroupsRequest,
    DescribeTargetHealthRequest, Matcher, ModifyTargetGroupRequest,
};

use super::name;
use crate::connection::Connection;
use crate::error::Error;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a target group.
    Create {
        name: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Change how the targets of a group are probed and drained.
    Modify {
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
        #[arg(value_name = "TARGET_GROUP")]
        target_group: String,
    },
    /// Delete a target group that nothing uses any more.
    Delete {
        #[arg(value_name = "TARGET_GROUP")]
        target_group: String,
    },
}

/// The health check and the drain; what is not given keeps ELB's default.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Settings {
    #[arg(long, value_name = "PATH")]
    health_check_path: Option<String>,
    #[arg(long, value_name = "SECONDS")]
    health_check_interval: Option<i32>,
    #[arg(long, value_name = "SECONDS")]
    health_check_timeout: Option<i32>,
    /// Successes in a row that make an unhealthy target healthy.
    #[arg(long, value_name = "COUNT")]
    healthy_threshold: Option<i32>,
    /// Failures in a row that make a healthy target unhealthy.
    #[arg(long, value_name = "COUNT")]
    unhealthy_threshold: Option<i32>,
    /// Status codes of a healthy answer: 200, 200,202 or 200-299.
    #[arg(long, value_name = "CODES")]
    matcher: Option<String>,
    /// How long requests in flight may take when a target is removed.
    #[arg(long, value_name = "SECONDS")]
    deregistration_delay: Option<i32>,
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Create { name, settings } => {
            let request = create_request(name, settings);
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
            let arn = name::target_group(connection, &target_group).await?;
            let request = modify_request(arn, settings);
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
                target_group_arn: Some(arn),
            };
            let response = connection
                .elb(async |mut elb| elb.describe_target_health(request.clone()).await)
                .await?;
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

fn create_request(name: String, settings: Settings) -> CreateTargetGroupRequest {
    CreateTargetGroupRequest {
        name: Some(name),
        protocol: Some("HTTP".to_owned()),
        health_check_path: settings.health_check_path,
        health_check_interval_seconds: settings.health_check_interval,
        health_check_timeout_seconds: settings.health_check_timeout,
        healthy_threshold_count: settings.healthy_threshold,
        unhealthy_threshold_count: settings.unhealthy_threshold,
        matcher: settings.matcher.map(|codes| Matcher {
            http_code: Some(codes),
        }),
        deregistration_delay_seconds: settings.deregistration_delay,
    }
}

fn modify_request(arn: String, settings: Settings) -> ModifyTargetGroupRequest {
    ModifyTargetGroupRequest {
        target_group_arn: Some(arn),
        health_check_path: settings.health_check_path,
        health_check_interval_seconds: settings.health_check_interval,
        health_check_timeout_seconds: settings.health_check_timeout,
        healthy_threshold_count: settings.healthy_threshold,
        unhealthy_threshold_count: settings.unhealthy_threshold,
        matcher: settings.matcher.map(|codes| Matcher {
            http_code: Some(codes),
        }),
        deregistration_delay_seconds: settings.deregistration_delay,
    }
}
