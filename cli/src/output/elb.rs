//! Load balancers, listeners, rules and target groups, for people.

use roadstead_client::proto::elb::{
    Action, Certificate, Listener, LoadBalancer, RedirectActionConfig, Rule, RuleCondition,
    TargetGroup, TargetHealthDescription,
};

use super::arn::{load_balancer_name, target_group_name};
use super::grid::{grid, joined, number, text, time};

/// Returns one row for each load balancer.
pub(crate) fn load_balancers(load_balancers: &[LoadBalancer]) -> String {
    let rows = load_balancers.iter().map(|load_balancer| {
        let state = load_balancer.state.as_ref();
        [
            text(load_balancer.load_balancer_name.as_ref()),
            text(load_balancer.r#type.as_ref()),
            text(state.and_then(|state| state.code.as_ref())),
            time(load_balancer.created_time),
            text(load_balancer.load_balancer_arn.as_ref()),
        ]
    });
    grid(["NAME", "TYPE", "STATE", "CREATED", "ARN"], rows)
}

/// Returns one row for each listener.
pub(crate) fn listeners(listeners: &[Listener]) -> String {
    let rows = listeners.iter().map(|listener| {
        let load_balancer = listener.load_balancer_arn.as_deref().unwrap_or("-");
        [
            load_balancer_name(load_balancer).to_owned(),
            number(listener.port),
            text(listener.protocol.as_ref()),
            actions(&listener.default_actions),
            limits(listener),
            text(listener.listener_arn.as_ref()),
        ]
    });
    grid(
        [
            "LOAD BALANCER",
            "PORT",
            "PROTOCOL",
            "DEFAULT ACTIONS",
            "LIMITS",
            "ARN",
        ],
        rows,
    )
}

/// `50/s burst 100, only 10.0.0.0/8, not 192.0.2.66/32`, or nothing.
fn limits(listener: &Listener) -> String {
    let of = |key: &str| {
        let mut attributes = listener.attributes.iter();
        let found = attributes.find(|one| one.key.as_deref() == Some(key));
        let value = found.and_then(|one| one.value.as_deref());
        value.filter(|value| !["", "0"].contains(value))
    };
    let rate = of("roadstead.rate_limit.requests_per_second").map(|rate| {
        let burst = of("roadstead.rate_limit.burst");
        burst.map_or_else(
            || format!("{rate}/s"),
            |burst| format!("{rate}/s burst {burst}"),
        )
    });
    let allowed = of("roadstead.source_ips.allowed").map(|ranges| format!("only {ranges}"));
    let denied = of("roadstead.source_ips.denied").map(|ranges| format!("not {ranges}"));
    let proxied = of("roadstead.proxy_protocol.enabled")
        .filter(|on| *on == "true")
        .map(|_| "PROXY protocol".to_owned());
    let all = [rate, allowed, denied, proxied].into_iter().flatten();
    joined(&all.collect::<Vec<_>>())
}

/// Returns one row for each certificate of a listener.
pub(crate) fn certificates(certificates: &[Certificate]) -> String {
    let rows = certificates.iter().map(|one| {
        let default = if one.is_default == Some(true) {
            "yes"
        } else {
            "no"
        };
        [default.to_owned(), text(one.certificate_arn.as_ref())]
    });
    grid(["DEFAULT", "ARN"], rows)
}

/// Returns one row for each rule, in the order in which they are tried.
pub(crate) fn rules(rules: &[Rule]) -> String {
    let rows = rules.iter().map(|rule| {
        [
            text(rule.priority.as_ref()),
            joined(&rule.conditions.iter().map(condition).collect::<Vec<_>>()),
            actions(&rule.actions),
            text(rule.rule_arn.as_ref()),
        ]
    });
    grid(["PRIORITY", "CONDITIONS", "ACTIONS", "ARN"], rows)
}

/// Returns one row for each target group.
pub(crate) fn target_groups(target_groups: &[TargetGroup]) -> String {
    let rows = target_groups.iter().map(|group| {
        let matcher = group.matcher.as_ref();
        [
            text(group.target_group_name.as_ref()),
            text(group.protocol.as_ref()),
            text(group.protocol_version.as_ref()),
            text(group.health_check_protocol.as_ref()),
            text(group.health_check_path.as_ref()),
            seconds(group.health_check_interval_seconds),
            seconds(group.health_check_timeout_seconds),
            format!(
                "{}/{}",
                number(group.healthy_threshold_count),
                number(group.unhealthy_threshold_count)
            ),
            text(
                matcher
                    .and_then(|matcher| matcher.http_code.as_ref().or(matcher.grpc_code.as_ref())),
            ),
            attribute(group, "load_balancing.algorithm.type"),
            stickiness(group),
            capacity(group),
            format!(
                "{}s",
                attribute(group, "deregistration_delay.timeout_seconds")
            ),
            text(group.target_group_arn.as_ref()),
        ]
    });
    let headings = [
        "NAME",
        "PROTOCOL",
        "VERSION",
        "CHECK",
        "PATH",
        "INTERVAL",
        "TIMEOUT",
        "THRESHOLDS",
        "MATCHER",
        "ALGORITHM",
        "STICKY",
        "CAPACITY",
        "DELAY",
        "ARN",
    ];
    grid(headings, rows)
}

fn attribute(group: &TargetGroup, key: &str) -> String {
    let mut attributes = group.attributes.iter();
    let found = attributes.find(|one| one.key.as_deref() == Some(key));
    text(found.and_then(|one| one.value.as_ref()))
}

/// `off`, or how long and by which cookie of the application.
fn stickiness(group: &TargetGroup) -> String {
    if attribute(group, "stickiness.enabled") != "true" {
        return "off".to_owned();
    }
    let of = |kind: &str| attribute(group, &format!("stickiness.{kind}.duration_seconds"));
    if attribute(group, "stickiness.type") == "app_cookie" {
        let cookie = attribute(group, "stickiness.app_cookie.cookie_name");
        return format!("{}s by {cookie}", of("app_cookie"));
    }
    format!("{}s", of("lb_cookie"))
}

/// `8 a target, wait 20s`, or nothing.
fn capacity(group: &TargetGroup) -> String {
    let of = |key: &str| attribute(group, &format!("roadstead.capacity.{key}"));
    let given = |value: &String| !["0", "-"].contains(&value.as_str());
    let requests = Some(of("requests_per_target")).filter(given);
    let wait = Some(of("waiting_seconds")).filter(given);
    let all = [
        requests.map(|requests| format!("{requests} a target")),
        wait.map(|wait| format!("wait {wait}s")),
    ];
    joined(&all.into_iter().flatten().collect::<Vec<_>>())
}

/// Returns one row for each target of a group.
pub(crate) fn target_health(targets: &[TargetHealthDescription]) -> String {
    let rows = targets.iter().map(|description| {
        let target = description.target.as_ref();
        let health = description.target_health.as_ref();
        [
            text(target.and_then(|target| target.id.as_ref())),
            number(target.and_then(|target| target.port)),
            text(health.and_then(|health| health.state.as_ref())),
            text(health.and_then(|health| health.reason.as_ref())),
            text(health.and_then(|health| health.description.as_ref())),
            joined(&description.last_probes),
        ]
    });
    let headings = [
        "TARGET",
        "PORT",
        "STATE",
        "REASON",
        "DESCRIPTION",
        "LAST PROBES",
    ];
    grid(headings, rows)
}

fn condition(condition: &RuleCondition) -> String {
    let field = condition.field.as_deref().unwrap_or("-");
    if let Some(header) = &condition.http_header_config {
        let name = header.http_header_name.as_deref().unwrap_or("-");
        return format!("{field} {name}={}", header.values.join("|"));
    }
    let methods = condition.http_request_method_config.as_ref();
    let sources = condition.source_ip_config.as_ref();
    let values = if let Some(methods) = methods {
        methods.values.join("|")
    } else if let Some(sources) = sources {
        sources.values.join("|")
    } else if let Some(query) = &condition.query_string_config {
        let each = query.values.iter().map(|one| {
            let value = one.value.as_deref().unwrap_or_default();
            let key = one.key.as_deref();
            key.map_or_else(|| value.to_owned(), |key| format!("{key}:{value}"))
        });
        each.collect::<Vec<_>>().join("|")
    } else {
        condition.values.join("|")
    };
    format!("{field}={values}")
}

fn actions(actions: &[Action]) -> String {
    joined(&actions.iter().map(action).collect::<Vec<_>>())
}

fn action(action: &Action) -> String {
    let kind = action.r#type.as_deref().unwrap_or("-");
    if let Some(redirect) = &action.redirect_config {
        return format!("{kind} {}", redirect_target(redirect));
    }
    if let Some(response) = &action.fixed_response_config {
        return format!("{kind} {}", text(response.status_code.as_ref()));
    }
    if let Some(arn) = &action.target_group_arn {
        return format!("{kind} {}", target_group_name(arn));
    }
    let groups = action
        .forward_config
        .iter()
        .flat_map(|config| &config.target_groups);
    let weighted = groups.map(|group| {
        let name = target_group_name(group.target_group_arn.as_deref().unwrap_or("-"));
        format!("{name}={}", group.weight.unwrap_or(1))
    });
    format!("{kind} {}", weighted.collect::<Vec<_>>().join("+"))
}

/// `301 https://#{host}:443/#{path}?#{query}`
fn redirect_target(redirect: &RedirectActionConfig) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let status = part(&redirect.status_code);
    let query = part(&redirect.query);
    let mark = if query.is_empty() { "" } else { "?" };
    format!(
        "{} {}://{}:{}{}{mark}{query}",
        status.trim_start_matches("HTTP_"),
        part(&redirect.protocol).to_ascii_lowercase(),
        part(&redirect.host),
        part(&redirect.port),
        part(&redirect.path),
    )
}

fn seconds(value: Option<i32>) -> String {
    value.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds}s"))
}
