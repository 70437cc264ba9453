//! What rules ask of a request.

use roadstead_core::Rejection;
use roadstead_core::state::load_balancer::{Condition, QueryParameter};
use roadstead_proto::elb;

use super::setting;

/// Describes a condition: in the short form too where there is one, as ELB does.
pub(super) fn to_proto(condition: &Condition) -> elb::RuleCondition {
    let mut described = elb::RuleCondition {
        field: Some(condition.field().to_owned()),
        ..elb::RuleCondition::default()
    };
    match condition {
        Condition::HostHeader(values) => {
            let values = values.clone();
            described.values.clone_from(&values);
            described.host_header_config = Some(elb::HostHeaderConditionConfig { values });
        }
        Condition::PathPattern(values) => {
            let values = values.clone();
            described.values.clone_from(&values);
            described.path_pattern_config = Some(elb::PathPatternConditionConfig { values });
        }
        Condition::HttpHeader { name, values } => {
            described.http_header_config = Some(elb::HttpHeaderConditionConfig {
                http_header_name: Some(name.clone()),
                values: values.clone(),
            });
        }
        Condition::HttpRequestMethod(values) => {
            let values = values.clone();
            described.http_request_method_config =
                Some(elb::HttpRequestMethodConditionConfig { values });
        }
        Condition::QueryString(parameters) => {
            let values = parameters.iter().map(|one| elb::QueryStringKeyValuePair {
                key: one.key.clone(),
                value: Some(one.value.clone()),
            });
            described.query_string_config = Some(elb::QueryStringConditionConfig {
                values: values.collect(),
            });
        }
        Condition::SourceIp(values) => {
            let values = values.clone();
            described.source_ip_config = Some(elb::SourceIpConditionConfig { values });
        }
    }
    described
}

/// Reads a condition.
pub(super) fn from_proto(condition: &elb::RuleCondition) -> Result<Condition, Rejection> {
    let field = condition.field.as_deref().unwrap_or_default();
    check_alone(field, condition)?;
    Ok(match field {
        "host-header" => {
            let config = condition.host_header_config.as_ref();
            let config = config.map(|config| config.values.as_slice());
            Condition::HostHeader(either(field, &condition.values, config)?)
        }
        "path-pattern" => {
            let config = condition.path_pattern_config.as_ref();
            let config = config.map(|config| config.values.as_slice());
            Condition::PathPattern(either(field, &condition.values, config)?)
        }
        "http-header" => {
            let config = needed(
                field,
                "httpHeaderConfig",
                condition.http_header_config.as_ref(),
            )?;
            Condition::HttpHeader {
                name: config.http_header_name.clone().unwrap_or_default(),
                values: config.values.clone(),
            }
        }
        "http-request-method" => {
            let config = condition.http_request_method_config.as_ref();
            let config = needed(field, "httpRequestMethodConfig", config)?;
            Condition::HttpRequestMethod(config.values.clone())
        }
        "query-string" => {
            let config = condition.query_string_config.as_ref();
            let config = needed(field, "queryStringConfig", config)?;
            let parameters = config.values.iter().map(|one| QueryParameter {
                key: one.key.clone(),
                value: one.value.clone().unwrap_or_default(),
            });
            Condition::QueryString(parameters.collect())
        }
        "source-ip" => {
            let config = needed(field, "sourceIpConfig", condition.source_ip_config.as_ref())?;
            Condition::SourceIp(config.values.clone())
        }
        other => {
            return Err(Rejection::validation(format!(
                "condition field '{other}' is not supported; use host-header, path-pattern, http-header, \
                 http-request-method, query-string or source-ip"
            )));
        }
    })
}

/// Two forms of one thing: given both, they must say the same, as in what a describe returns.
fn either(
    field: &str,
    short: &[String],
    config: Option<&[String]>,
) -> Result<Vec<String>, Rejection> {
    match config {
        Some(values) if !short.is_empty() && short != values => Err(Rejection::validation(
            format!("condition {field} has values and a config that say different things"),
        )),
        Some(values) => Ok(values.to_vec()),
        None => Ok(short.to_vec()),
    }
}

fn needed<'a, T>(field: &str, name: &str, config: Option<&'a T>) -> Result<&'a T, Rejection> {
    config.ok_or_else(|| {
        Rejection::validation(format!(
            "condition field {field} needs its values in {name}"
        ))
    })
}

fn check_alone(field: &str, condition: &elb::RuleCondition) -> Result<(), Rejection> {
    let one = condition;
    setting::check_alone(
        "condition field",
        field,
        &[
            setting::of("host-header", "hostHeaderConfig", &one.host_header_config),
            setting::of(
                "path-pattern",
                "pathPatternConfig",
                &one.path_pattern_config,
            ),
            setting::of("http-header", "httpHeaderConfig", &one.http_header_config),
            setting::of(
                "http-request-method",
                "httpRequestMethodConfig",
                &one.http_request_method_config,
            ),
            setting::of(
                "query-string",
                "queryStringConfig",
                &one.query_string_config,
            ),
            setting::of("source-ip", "sourceIpConfig", &one.source_ip_config),
        ],
    )?;
    if condition.values.is_empty() || ["host-header", "path-pattern"].contains(&field) {
        return Ok(());
    }
    Err(Rejection::validation(format!(
        "condition field '{field}' takes its values from a config, not from values"
    )))
}
