//! How the targets of a group are probed, chosen and drained, as it is written on the command line.

use clap::ValueEnum;
use roadstead_client::proto::elb::{
    CreateTargetGroupRequest, Matcher, ModifyTargetGroupRequest, TargetGroupAttribute,
};

use crate::config;
use crate::error::Error;

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

pub(super) fn create_request(
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

/// Returns what is to change, of a group that is still to be named.
pub(super) fn modify_request(settings: Settings) -> Result<ModifyTargetGroupRequest, Error> {
    let attributes = settings.attributes()?;
    let request = ModifyTargetGroupRequest {
        target_group_arn: None,
        health_check_path: settings.health_check_path,
        health_check_interval_seconds: settings.health_check_interval,
        health_check_timeout_seconds: settings.health_check_timeout,
        healthy_threshold_count: settings.healthy_threshold,
        unhealthy_threshold_count: settings.unhealthy_threshold,
        matcher: matcher(settings.matcher, settings.grpc_matcher),
        health_check_protocol: settings.health_check_protocol,
        attributes,
    };
    if request == ModifyTargetGroupRequest::default() {
        return Err(Error::Unfit(
            "give what is to change, such as --health-check-path, --algorithm, --stickiness or --wait"
                .to_owned(),
        ));
    }
    Ok(request)
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
    fn a_change_of_nothing_is_refused() {
        let nothing = modify_request(Settings::default());
        let error = nothing.unwrap_err().to_string();
        assert!(error.starts_with("give what is to change"), "{error}");
        let changes = [
            Settings {
                grpc_matcher: Some("0".into()),
                ..Settings::default()
            },
            Settings {
                max_waiting: Some(0),
                ..Settings::default()
            },
        ];
        for settings in changes {
            modify_request(settings).unwrap();
        }
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
