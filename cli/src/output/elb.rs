//! Load balancers, listeners, rules and target groups, for people.

use roadstead_client::proto::elb::{
    Action, Listener, LoadBalancer, Rule, RuleCondition, TargetGroup, TargetHealthDescription,
};

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
            text(listener.listener_arn.as_ref()),
        ]
    });
    grid(
        [
            "LOAD BALANCER",
            "PORT",
            "PROTOCOL",
            "DEFAULT ACTIONS",
            "ARN",
        ],
        rows,
    )
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
            text(group.health_check_path.as_ref()),
            seconds(group.health_check_interval_seconds),
            seconds(group.health_check_timeout_seconds),
            format!(
                "{}/{}",
                number(group.healthy_threshold_count),
                number(group.unhealthy_threshold_count)
            ),
            text(matcher.and_then(|matcher| matcher.http_code.as_ref())),
            seconds(group.deregistration_delay_seconds),
            text(group.target_group_arn.as_ref()),
        ]
    });
    let headings = [
        "NAME",
        "PATH",
        "INTERVAL",
        "TIMEOUT",
        "THRESHOLDS",
        "MATCHER",
        "DELAY",
        "ARN",
    ];
    grid(headings, rows)
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
        ]
    });
    grid(["TARGET", "PORT", "STATE", "REASON", "DESCRIPTION"], rows)
}

fn condition(condition: &RuleCondition) -> String {
    let field = condition.field.as_deref().unwrap_or("-");
    format!("{field}={}", condition.values.join("|"))
}

fn actions(actions: &[Action]) -> String {
    joined(&actions.iter().map(action).collect::<Vec<_>>())
}

fn action(action: &Action) -> String {
    let kind = action.r#type.as_deref().unwrap_or("-");
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

fn seconds(value: Option<i32>) -> String {
    value.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds}s"))
}

/// `arn:…:targetgroup/NAME/ID`
fn target_group_name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

/// `arn:…:loadbalancer/app/NAME/ID`
fn load_balancer_name(arn: &str) -> &str {
    arn.split('/').nth(2).unwrap_or(arn)
}
