//! Elastic Load Balancing.

use roadstead_proto::elb;
use serde_json::json;

use crate::{is_written_as, some};

#[test]
fn a_target_group_and_the_health_of_its_targets() {
    let group = elb::TargetGroup {
        target_group_arn: some("arn:tg"),
        target_group_name: some("web"),
        matcher: Some(elb::Matcher {
            http_code: some("200"),
            grpc_code: None,
        }),
        ..elb::TargetGroup::default()
    };
    is_written_as(
        &group,
        &json!({
            "TargetGroupArn": "arn:tg",
            "TargetGroupName": "web",
            "Matcher": {"HttpCode": "200"}
        }),
    );
    let health = elb::TargetHealthDescription {
        target: Some(elb::TargetDescription {
            id: some("i-1"),
            port: Some(49153),
        }),
        target_health: Some(elb::TargetHealth {
            state: some("unhealthy"),
            reason: some("Target.Timeout"),
            description: some("Request timed out"),
        }),
        ..elb::TargetHealthDescription::default()
    };
    is_written_as(
        &health,
        &json!({
            "Target": {"Id": "i-1", "Port": 49153},
            "TargetHealth": {
                "State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"
            }
        }),
    );
}

#[test]
fn a_listener_and_a_rule() {
    let action = elb::Action {
        r#type: some("forward"),
        target_group_arn: some("arn:tg"),
        ..elb::Action::default()
    };
    let rule = elb::Rule {
        rule_arn: some("arn:r"),
        priority: some("10"),
        conditions: vec![elb::RuleCondition {
            field: some("path-pattern"),
            values: vec!["/api/*".to_owned()],
            ..elb::RuleCondition::default()
        }],
        actions: vec![action.clone()],
        is_default: Some(false),
    };
    is_written_as(
        &rule,
        &json!({
            "RuleArn": "arn:r",
            "Priority": "10",
            "Conditions": [{"Field": "path-pattern", "Values": ["/api/*"]}],
            "Actions": [{"Type": "forward", "TargetGroupArn": "arn:tg"}],
            "IsDefault": false
        }),
    );
    let listener = elb::Listener {
        port: Some(80),
        default_actions: vec![action],
        ..elb::Listener::default()
    };
    is_written_as(
        &listener,
        &json!({"Port": 80, "DefaultActions": [{"Type": "forward", "TargetGroupArn": "arn:tg"}]}),
    );
}

#[test]
fn a_condition_with_a_config_and_a_redirect() {
    let condition = elb::RuleCondition {
        field: some("http-header"),
        http_header_config: Some(elb::HttpHeaderConditionConfig {
            http_header_name: some("x-version"),
            values: vec!["2.*".to_owned()],
        }),
        ..elb::RuleCondition::default()
    };
    is_written_as(
        &condition,
        &json!({
            "Field": "http-header",
            "HttpHeaderConfig": {"HttpHeaderName": "x-version", "Values": ["2.*"]}
        }),
    );
    let action = elb::Action {
        r#type: some("redirect"),
        order: Some(1),
        redirect_config: Some(elb::RedirectActionConfig {
            protocol: some("HTTPS"),
            status_code: some("HTTP_301"),
            ..elb::RedirectActionConfig::default()
        }),
        ..elb::Action::default()
    };
    is_written_as(
        &action,
        &json!({
            "Type": "redirect",
            "Order": 1,
            "RedirectConfig": {"Protocol": "HTTPS", "StatusCode": "HTTP_301"}
        }),
    );
}
