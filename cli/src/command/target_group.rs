//! `ctl target-group`

use std::collections::HashMap;

use clap::{Subcommand, ValueEnum};
use roadstead_client::proto::console::{DescribeTrafficRequest, DescribeTrafficResponse};
use roadstead_client::proto::elb::{
    CreateTargetGroupRequest, DeleteTargetGroupRequest, DescribeTargetGroupsRequest,
    DescribeTargetHealthRequest, Matcher, ModifyTargetGroupRequest, TargetGroupAttribute,
    TargetHealthDescription,
};

use super::name;
use crate::connection::Connection;
use crate::error::Error;
use crate::output::arn::last_part;
use crate::{config, output};

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

/// What is not given keeps ELB's default, or stays as it is.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Settings {
    /// Path that targets are asked for; of GRPC, the method.
    #[arg(long, value_name = "PATH")]
    health_check_path: Option<String>,
    /// Time between two probes of a target.
    #[arg(long, value_name = "SECONDS")]
    health_check_interval: Option<i32>,
    /// How long a probe waits for its answer.
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
    /// Status codes of gRPC that a healthy answer has, where that is what is asked: 12, 0,12 or 0-99.
    #[arg(long, value_name = "CODES", conflicts_with = "matcher")]
    grpc_matcher: Option<String>,
    /// In what targets are asked: HTTP, HTTPS, or TCP, where a connection is enough [default: as requests are sent].
    #[arg(long, value_name = "PROTOCOL")]
    health_check_protocol: Option<String>,
    /// How long requests in flight may take when a target is removed.
    #[arg(long, value_name = "SECONDS")]
    deregistration_delay: Option<i32>,
    /// How requests are spread: round_robin, least_outstanding_requests or weighted_random.
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// For how long the share of a new target grows; 0 gives it all at once.
    #[arg(long, value_name = "SECONDS")]
    slow_start: Option<i32>,
    /// For how long a client stays with the target that it got first, such as 1h; or `off`.
    #[arg(long, value_name = "DURATION")]
    stickiness: Option<String>,
    /// It stays as long as it has this cookie of the application.
    #[arg(long, value_name = "NAME", requires = "stickiness")]
    stickiness_cookie: Option<String>,
    /// Requests that each target gets at once from each load balancer process; 0 is any number.
    #[arg(long, value_name = "COUNT")]
    requests_per_target: Option<u32>,
    /// How long a request waits when no target is ready or all are full, such as 10s; 0s: not at all.
    #[arg(long, value_name = "DURATION")]
    wait: Option<String>,
    /// Requests that wait at once in each load balancer process; further ones are answered with 503.
    #[arg(long, value_name = "COUNT")]
    max_waiting: Option<u32>,
    /// Whether requests go to every zone; with `false`, to a load balancer's own as long as a target is healthy there.
    #[arg(long, value_name = "BOOL")]
    cross_zone: Option<bool>,
    /// With which header of the PROXY protocol connections of TCP begin at targets: v1, v2 or off.
    #[arg(long, value_name = "VERSION")]
    proxy_protocol: Option<ProxyProtocol>,
}

/// Versions of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProxyProtocol {
    V1,
    V2,
    Off,
}

impl Settings {
    /// Returns the attributes that were given.
    fn attributes(&self) -> Result<Vec<TargetGroupAttribute>, Error> {
        let number = |number: Option<i32>| number.map(|number| number.to_string());
        let count = |count: Option<u32>| count.map(|count| count.to_string());
        let wait = self
            .wait
            .as_deref()
            .map(|text| config::whole_seconds("wait", text));
        let wait = wait.transpose()?.map(|seconds| seconds.to_string());
        let mut given = vec![
            (
                "deregistration_delay.timeout_seconds",
                number(self.deregistration_delay),
            ),
            ("load_balancing.algorithm.type", self.algorithm.clone()),
            ("slow_start.duration_seconds", number(self.slow_start)),
            (
                "roadstead.capacity.requests_per_target",
                count(self.requests_per_target),
            ),
            (
                "load_balancing.cross_zone.enabled",
                self.cross_zone.map(|on| on.to_string()),
            ),
            ("roadstead.capacity.waiting", count(self.max_waiting)),
            ("roadstead.capacity.waiting_seconds", wait),
        ];
        if let Some(chosen) = self.proxy_protocol {
            let keys = [
                ("roadstead.proxy_protocol_v1.enabled", ProxyProtocol::V1),
                ("proxy_protocol_v2.enabled", ProxyProtocol::V2),
            ];
            given.extend(keys.map(|(key, version)| (key, Some((version == chosen).to_string()))));
        }
        match (self.stickiness.as_deref(), &self.stickiness_cookie) {
            (None, _) => {}
            (Some("off"), _) => given.push(("stickiness.enabled", Some("false".to_owned()))),
            (Some(text), cookie) => {
                let seconds = config::whole_seconds("stickiness", text)?.to_string();
                let (kind, duration) = match cookie {
                    Some(_) => ("app_cookie", "stickiness.app_cookie.duration_seconds"),
                    None => ("lb_cookie", "stickiness.lb_cookie.duration_seconds"),
                };
                given.extend([
                    ("stickiness.enabled", Some("true".to_owned())),
                    ("stickiness.type", Some(kind.to_owned())),
                    (duration, Some(seconds)),
                    ("stickiness.app_cookie.cookie_name", cookie.clone()),
                ]);
            }
        }
        let given = given.into_iter().filter(|(_, value)| value.is_some());
        Ok(given
            .map(|(key, value)| TargetGroupAttribute {
                key: Some(key.to_owned()),
                value,
            })
            .collect())
    }
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
            let arn = name::target_group(connection, &target_group).await?;
            let request = modify_request(arn, settings)?;
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

fn create_request(
    name: String,
    protocol: &str,
    protocol_version: Option<String>,
    settings: Settings,
) -> Result<CreateTargetGroupRequest, Error> {
    let attributes = settings.attributes()?;
    Ok(CreateTargetGroupRequest {
        name: Some(name),
        protocol: Some(protocol.to_owned()),
        health_check_path: settings.health_check_path,
        health_check_interval_seconds: settings.health_check_interval,
        health_check_timeout_seconds: settings.health_check_timeout,
        healthy_threshold_count: settings.healthy_threshold,
        unhealthy_threshold_count: settings.unhealthy_threshold,
        matcher: matcher(settings.matcher, settings.grpc_matcher),
        health_check_protocol: settings.health_check_protocol,
        attributes,
        protocol_version,
    })
}

fn modify_request(arn: String, settings: Settings) -> Result<ModifyTargetGroupRequest, Error> {
    let attributes = settings.attributes()?;
    Ok(ModifyTargetGroupRequest {
        target_group_arn: Some(arn),
        health_check_path: settings.health_check_path,
        health_check_interval_seconds: settings.health_check_interval,
        health_check_timeout_seconds: settings.health_check_timeout,
        healthy_threshold_count: settings.healthy_threshold,
        unhealthy_threshold_count: settings.unhealthy_threshold,
        matcher: matcher(settings.matcher, settings.grpc_matcher),
        health_check_protocol: settings.health_check_protocol,
        attributes,
    })
}

fn matcher(http_code: Option<String>, grpc_code: Option<String>) -> Option<Matcher> {
    let given = http_code.is_some() || grpc_code.is_some();
    given.then_some(Matcher {
        http_code,
        grpc_code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(settings: &Settings) -> Vec<(String, String)> {
        let attributes = settings.attributes().unwrap().into_iter();
        let pairs = attributes.filter_map(|one| Some((one.key?, one.value?)));
        pairs.collect()
    }

    #[test]
    fn only_attributes_that_were_given_are_sent() {
        assert_eq!(given(&Settings::default()), []);
        let settings = Settings {
            algorithm: Some("weighted_random".into()),
            slow_start: Some(0),
            ..Settings::default()
        };
        let keys = given(&settings).into_iter().map(|(key, _)| key);
        let expected = [
            "load_balancing.algorithm.type",
            "slow_start.duration_seconds",
        ];
        assert!(keys.eq(expected));
    }

    #[test]
    fn stickiness_is_a_duration_by_either_cookie_or_off() {
        let sticky = |text: &str, cookie: Option<&str>| {
            given(&Settings {
                stickiness: Some(text.into()),
                stickiness_cookie: cookie.map(str::to_owned),
                ..Settings::default()
            })
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(sticky("off", None), [pair("stickiness.enabled", "false")]);
        let own = pair("stickiness.lb_cookie.duration_seconds", "3600");
        assert!(sticky("1h", None).contains(&own));
        let application = sticky("30s", Some("SESSION"));
        let cookie = pair("stickiness.app_cookie.cookie_name", "SESSION");
        assert!(application.contains(&pair("stickiness.type", "app_cookie")));
        assert!(application.contains(&cookie));
        let settings = Settings {
            stickiness: Some("long".into()),
            ..Settings::default()
        };
        assert!(settings.attributes().is_err());
    }
}
