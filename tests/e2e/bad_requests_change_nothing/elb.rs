//! Bad requests to the operations of Elastic Load Balancing.

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::{Case, merge, refused};

const INVALID: &str = "ValidationError";
const NO_BALANCER: &str = "LoadBalancerNotFound";
const NO_GROUP: &str = "TargetGroupNotFound";
const NO_LISTENER: &str = "ListenerNotFound";
const NO_RULE: &str = "RuleNotFound";
const IN_USE: &str = "ResourceInUse";

pub(crate) fn cases(fixture: &Fixture) -> Vec<Case> {
    let mut cases = load_balancers(fixture);
    cases.extend(target_groups(fixture));
    cases.extend(listeners(fixture));
    cases.extend(rules(fixture));
    cases
}

fn load_balancers(fixture: &Fixture) -> Vec<Case> {
    let used = json!({"LoadBalancerArn": fixture.load_balancer});
    let unknown = || json!({"LoadBalancerArn": arn("loadbalancer/app/nothing/0123456789abcdef")});
    vec![
        refused("CreateLoadBalancer", json!({}), INVALID, "name"),
        refused(
            "CreateLoadBalancer",
            json!({"Name": "not a name"}),
            INVALID,
            "name",
        ),
        refused(
            "CreateLoadBalancer",
            json!({"Name": "new", "Type": "network"}),
            INVALID,
            "type",
        ),
        refused(
            "DescribeLoadBalancers",
            json!({"Names": ["nothing"]}),
            NO_BALANCER,
            "nothing",
        ),
        refused("DeleteLoadBalancer", unknown(), NO_BALANCER, "nothing"),
        refused("DeleteLoadBalancer", used, IN_USE, "service"),
        refused("DescribeListeners", unknown(), NO_BALANCER, "nothing"),
    ]
}

fn target_groups(fixture: &Fixture) -> Vec<Case> {
    let create = |change: Value, names| {
        let mut request = json!({"Name": "new"});
        merge(&mut request, change);
        refused("CreateTargetGroup", request, INVALID, names)
    };
    let modify = |change: Value, names| {
        let mut request = json!({"TargetGroupArn": fixture.target_group});
        merge(&mut request, change);
        refused("ModifyTargetGroup", request, INVALID, names)
    };
    let unknown = || json!({"TargetGroupArn": arn("targetgroup/nothing/0123456789abcdef")});
    let used = json!({"TargetGroupArn": fixture.target_group});
    vec![
        create(json!({"Name": null}), "name"),
        create(json!({"Name": "-hyphen-"}), "name"),
        create(json!({"Protocol": "GENEVE"}), "protocol"),
        create(json!({"ProtocolVersion": "HTTP3"}), "protocolVersion"),
        create(
            attribute("proxy_protocol_v2.enabled", "true"),
            "protocol TCP",
        ),
        create(json!({"HealthCheckProtocol": "UDP"}), "healthCheckProtocol"),
        create(json!({"Matcher": {"GrpcCode": "0"}}), "grpcCode"),
        create(
            json!({"ProtocolVersion": "GRPC", "Matcher": {"HttpCode": "200"}}),
            "httpCode",
        ),
        create(json!({"HealthCheckPath": "health"}), "healthCheckPath"),
        create(
            json!({"HealthCheckIntervalSeconds": 1}),
            "healthCheckIntervalSeconds",
        ),
        create(
            json!({"HealthCheckTimeoutSeconds": 0}),
            "healthCheckTimeoutSeconds",
        ),
        create(json!({"HealthyThresholdCount": 1}), "healthyThresholdCount"),
        create(
            json!({"UnhealthyThresholdCount": 11}),
            "unhealthyThresholdCount",
        ),
        create(json!({"Matcher": {"HttpCode": "teapot"}}), "httpCode"),
        create(
            attribute("deregistration_delay.timeout_seconds", "3601"),
            "deregistration",
        ),
        create(
            attribute("load_balancing.algorithm.type", "fastest"),
            "round_robin",
        ),
        create(attribute("stickiness.type", "app_cookie"), "cookie_name"),
        create(
            attribute("roadstead.capacity.waiting_seconds", "301"),
            "waiting_seconds",
        ),
        modify(attribute("slow_start.duration_seconds", "29"), "slow_start"),
        modify(attribute("cross_zone", "true"), "cross_zone"),
        modify(
            json!({"HealthCheckIntervalSeconds": 301}),
            "healthCheckIntervalSeconds",
        ),
        modify(json!({"HealthCheckPath": "health"}), "healthCheckPath"),
        refused("ModifyTargetGroup", unknown(), NO_GROUP, "nothing"),
        refused(
            "ModifyTargetGroupAttributes",
            unknown(),
            NO_GROUP,
            "nothing",
        ),
        refused(
            "DescribeTargetGroupAttributes",
            unknown(),
            NO_GROUP,
            "nothing",
        ),
        refused(
            "DescribeTargetGroups",
            json!({"Names": ["nothing"]}),
            NO_GROUP,
            "nothing",
        ),
        refused("DescribeTargetHealth", unknown(), NO_GROUP, "nothing"),
        refused("DeleteTargetGroup", used, IN_USE, "web"),
    ]
}

fn listeners(fixture: &Fixture) -> Vec<Case> {
    let create = |change: Value, exception, names| {
        let mut request = json!({
            "LoadBalancerArn": fixture.load_balancer, "Protocol": "HTTP", "Port": 1,
            "DefaultActions": forward(&fixture.target_group),
        });
        merge(&mut request, change);
        refused("CreateListener", request, exception, names)
    };
    let unknown = json!({"ListenerArn": arn("listener/app/web/0123456789abcdef/0123456789abcdef")});
    let no_balancer = arn("loadbalancer/app/nothing/0123456789abcdef");
    let no_group = forward(&arn("targetgroup/nothing/0123456789abcdef"));
    vec![
        create(json!({"Port": 0}), INVALID, "port"),
        create(json!({"Port": 70_000}), INVALID, "port"),
        create(json!({"Port": fixture.port}), "DuplicateListener", "port"),
        create(json!({"Protocol": "UDP"}), INVALID, "protocol"),
        create(json!({"Protocol": "TCP"}), INVALID, "web"),
        create(
            json!({"LoadBalancerArn": no_balancer}),
            NO_BALANCER,
            "nothing",
        ),
        create(json!({"DefaultActions": []}), INVALID, "action"),
        create(
            json!({"DefaultActions": [{"Type": "authenticate-oidc"}]}),
            INVALID,
            "type",
        ),
        create(
            json!({"DefaultActions": [{"Type": "redirect"}]}),
            INVALID,
            "redirectConfig",
        ),
        create(
            json!({"DefaultActions": no_group.clone()}),
            NO_GROUP,
            "nothing",
        ),
        refused("ModifyListener", unknown.clone(), NO_LISTENER, "listener"),
        refused(
            "ModifyListener",
            json!({"ListenerArn": fixture.listener, "DefaultActions": no_group}),
            NO_GROUP,
            "nothing",
        ),
        create(attribute("routing.http2.enabled", "no"), INVALID, "http2"),
        create(
            attribute("roadstead.source_ips.allowed", "10.0.0.1"),
            INVALID,
            "10.0.0.1",
        ),
        refused(
            "ModifyListenerAttributes",
            attributes_of(&fixture.listener, "roadstead.rate_limit.burst", "5"),
            INVALID,
            "requests_per_second",
        ),
        refused(
            "DescribeListenerAttributes",
            unknown.clone(),
            NO_LISTENER,
            "listener",
        ),
        refused("DeleteListener", unknown, NO_LISTENER, "listener"),
    ]
}

fn rules(fixture: &Fixture) -> Vec<Case> {
    let create = |change: Value, exception, names| {
        let mut request = json!({
            "ListenerArn": fixture.listener, "Priority": 20,
            "Conditions": [{"Field": "path-pattern", "Values": ["/new/*"]}],
            "Actions": forward(&fixture.target_group),
        });
        merge(&mut request, change);
        refused("CreateRule", request, exception, names)
    };
    let modify = |change: Value, exception, names| {
        let mut request = json!({"RuleArn": fixture.rule});
        merge(&mut request, change);
        refused("ModifyRule", request, exception, names)
    };
    let no_listener = arn("listener/app/web/0123456789abcdef/0123456789abcdef");
    let no_rule = arn("listener-rule/app/web/0123456789abcdef/0123456789abcdef/0123456789abcdef");
    vec![
        create(json!({"Priority": 0}), INVALID, "priority"),
        create(json!({"Priority": 50_001}), INVALID, "priority"),
        create(json!({"Priority": 10}), "PriorityInUse", "priority"),
        create(json!({"ListenerArn": no_listener}), NO_LISTENER, "listener"),
        create(json!({"Conditions": []}), INVALID, "condition"),
        create(
            json!({"Conditions": [{"Field": "http-header", "Values": ["x"]}]}),
            INVALID,
            "field",
        ),
        create(
            json!({"Conditions": [{"Field": "cookie", "Values": ["x"]}]}),
            INVALID,
            "cookie",
        ),
        create(
            json!({"Conditions": [{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0"]}}]}),
            INVALID,
            "10.0.0.0",
        ),
        create(
            json!({"Conditions": [{"Field": "path-pattern", "HostHeaderConfig": {"Values": ["x"]}}]}),
            INVALID,
            "hostHeaderConfig",
        ),
        create(
            json!({"Actions": [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}]}),
            INVALID,
            "circles",
        ),
        create(
            json!({"Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "302"}}]}),
            INVALID,
            "302",
        ),
        modify(json!({"RuleArn": no_rule}), NO_RULE, "rule"),
        modify(
            json!({"Conditions": [{"Field": "path-pattern"}]}),
            INVALID,
            "value",
        ),
        modify(
            json!({"Actions": [{"Type": "forward"}]}),
            INVALID,
            "targetGroupArn",
        ),
        refused("SetRulePriorities", json!({}), INVALID, "rulePriorities"),
        refused(
            "SetRulePriorities",
            json!({"RulePriorities": [{"RuleArn": fixture.rule, "Priority": 0}]}),
            INVALID,
            "priority",
        ),
        create(
            json!({"Conditions": [{"Field": "path-pattern"}]}),
            INVALID,
            "value",
        ),
        create(json!({"Actions": []}), INVALID, "action"),
        refused(
            "DescribeRules",
            json!({"ListenerArn": no_listener}),
            NO_LISTENER,
            "listener",
        ),
        refused("DeleteRule", json!({"RuleArn": no_rule}), NO_RULE, "rule"),
    ]
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"Attributes": [{"Key": key, "Value": value}]})
}

fn attributes_of(listener: &str, key: &str, value: &str) -> Value {
    let mut request = attribute(key, value);
    merge(&mut request, json!({"ListenerArn": listener}));
    request
}

fn forward(target_group: &str) -> Value {
    json!([{"Type": "forward", "TargetGroupArn": target_group}])
}

fn arn(resource: &str) -> String {
    format!("arn:aws:elasticloadbalancing:us-east-1:000000000000:{resource}")
}
