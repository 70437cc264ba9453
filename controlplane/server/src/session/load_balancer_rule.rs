//! Rules as a load balancer reads them.

use roadstead_core::arn::Arns;
use roadstead_core::state::load_balancer::{Action, Condition, Rule};
use roadstead_proto::lb;

/// Builds a rule.
pub(super) fn to_proto(arns: &Arns, arn: String, rule: &Rule) -> lb::Rule {
    let mut built = default_to_proto(arns, arn, &rule.action);
    built.priority = rule.priority;
    for condition in &rule.conditions {
        match condition {
            Condition::HostHeader(values) => built.host_patterns.clone_from(values),
            Condition::PathPattern(values) => built.path_patterns.clone_from(values),
            Condition::HttpHeader { name, values } => built.http_headers.push(lb::HttpHeader {
                name: name.clone(),
                patterns: values.clone(),
            }),
            Condition::HttpRequestMethod(values) => built.http_request_methods.clone_from(values),
            Condition::QueryString(parameters) => {
                let parameters = parameters.iter().map(|one| lb::QueryParameter {
                    key: one.key.clone(),
                    value: one.value.clone(),
                });
                built.query_strings.push(lb::QueryString {
                    parameters: parameters.collect(),
                });
            }
            Condition::SourceIp(values) => built.source_ips.clone_from(values),
        }
    }
    built
}

/// Builds the rule that takes every request.
pub(super) fn default_to_proto(arns: &Arns, arn: String, action: &Action) -> lb::Rule {
    let mut built = lb::Rule {
        rule_arn: arn,
        ..lb::Rule::default()
    };
    match action {
        Action::Forward { groups, stickiness } => {
            let forward = groups.iter().map(|one| lb::WeightedTargetGroup {
                target_group_arn: arns.target_group(&one.target_group),
                weight: one.weight,
            });
            built.forward = forward.collect();
            built.stickiness_seconds = stickiness.unwrap_or(0);
        }
        Action::Redirect(redirect) => {
            built.redirect = Some(lb::Redirect {
                protocol: redirect.protocol.clone(),
                host: redirect.host.clone(),
                port: redirect.port.clone(),
                path: redirect.path.clone(),
                query: redirect.query.clone(),
                status_code: if redirect.permanent { 301 } else { 302 },
            });
        }
        Action::FixedResponse(response) => {
            built.fixed_response = Some(lb::FixedResponse {
                status_code: response.status_code.into(),
                content_type: response.content_type.clone(),
                body: response.body.clone(),
            });
        }
    }
    built
}
