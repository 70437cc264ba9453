//! What listeners and rules do with a request.

use roadstead_core::Rejection;
use roadstead_core::arn::Arns;
use roadstead_core::state::load_balancer::{Action, FixedResponse, Forward, Redirect};
use roadstead_proto::elb;

use super::{count, name, setting};

/// ELB's default for group stickiness, when it is enabled without a duration.
const STICKINESS: i32 = 3600;

/// Describes an action.
pub(super) fn to_proto(arns: &Arns, action: &Action) -> elb::Action {
    let empty = elb::Action::default();
    match action {
        Action::Forward { groups, stickiness } => elb::Action {
            r#type: Some("forward".to_owned()),
            target_group_arn: match groups.as_slice() {
                [one] => Some(arns.target_group(&one.target_group)),
                _ => None,
            },
            forward_config: Some(elb::ForwardActionConfig {
                target_groups: groups.iter().map(|one| tuple(arns, one)).collect(),
                target_group_stickiness_config: Some(elb::TargetGroupStickinessConfig {
                    enabled: Some(stickiness.is_some()),
                    duration_seconds: stickiness.map(count),
                }),
            }),
            ..empty
        },
        Action::Redirect(redirect) => elb::Action {
            r#type: Some("redirect".to_owned()),
            redirect_config: Some(elb::RedirectActionConfig {
                protocol: Some(redirect.protocol.clone()),
                port: Some(redirect.port.clone()),
                host: Some(redirect.host.clone()),
                path: Some(redirect.path.clone()),
                query: Some(redirect.query.clone()),
                status_code: Some(
                    if redirect.permanent {
                        "HTTP_301"
                    } else {
                        "HTTP_302"
                    }
                    .to_owned(),
                ),
            }),
            ..empty
        },
        Action::FixedResponse(response) => elb::Action {
            r#type: Some("fixed-response".to_owned()),
            fixed_response_config: Some(elb::FixedResponseActionConfig {
                message_body: some(&response.body),
                status_code: Some(response.status_code.to_string()),
                content_type: some(&response.content_type),
            }),
            ..empty
        },
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn tuple(arns: &Arns, forward: &Forward) -> elb::TargetGroupTuple {
    elb::TargetGroupTuple {
        target_group_arn: Some(arns.target_group(&forward.target_group)),
        weight: Some(count(forward.weight)),
    }
}

/// Reads the actions of a listener or a rule: exactly one, which makes its order none. What no action may be is refused
/// before it takes up room in the log.
pub(crate) fn from_proto(actions: &[elb::Action]) -> Result<Action, Rejection> {
    let [action] = actions else {
        return Err(Rejection::validation(
            "actions must hold exactly one action: forward, redirect or fixed-response",
        ));
    };
    check_alone(action)?;
    if action
        .order
        .is_some_and(|order| !(1..=50_000).contains(&order))
    {
        return Err(Rejection::validation(
            "the order of an action must be 1 to 50000",
        ));
    }
    let read = match action.r#type.as_deref() {
        Some("forward") => forward(action)?,
        Some("redirect") => {
            let config = action.redirect_config.as_ref();
            let config = config.ok_or_else(|| missing("redirect", "redirectConfig"))?;
            Action::Redirect(redirect(config)?)
        }
        Some("fixed-response") => {
            let config = action.fixed_response_config.as_ref();
            let config = config.ok_or_else(|| missing("fixed-response", "fixedResponseConfig"))?;
            Action::FixedResponse(fixed_response(config)?)
        }
        other => {
            return Err(Rejection::validation(format!(
                "action type '{}' is not supported; use forward, redirect or fixed-response",
                other.unwrap_or_default()
            )));
        }
    };
    read.check()?;
    Ok(read)
}

fn check_alone(action: &elb::Action) -> Result<(), Rejection> {
    setting::check_alone(
        "action type",
        action.r#type.as_deref().unwrap_or_default(),
        &[
            setting::of("forward", "targetGroupArn", &action.target_group_arn),
            setting::of("forward", "forwardConfig", &action.forward_config),
            setting::of("redirect", "redirectConfig", &action.redirect_config),
            setting::of(
                "fixed-response",
                "fixedResponseConfig",
                &action.fixed_response_config,
            ),
        ],
    )
}

fn missing(kind: &str, field: &str) -> Rejection {
    Rejection::validation(format!("a {kind} action needs {field}"))
}

fn forward(action: &elb::Action) -> Result<Action, Rejection> {
    match (&action.target_group_arn, &action.forward_config) {
        (Some(arn), None) => Ok(Action::forward_to(name::target_group(Some(arn))?)),
        (_, Some(config)) => {
            let groups: Result<Vec<_>, _> = config.target_groups.iter().map(share).collect();
            let stickiness = config.target_group_stickiness_config.as_ref();
            Ok(Action::Forward {
                groups: groups?,
                stickiness: stickiness.map(sticky_for).transpose()?.flatten(),
            })
        }
        (None, None) => Err(Rejection::validation(
            "a forward action needs targetGroupArn or forwardConfig",
        )),
    }
}

fn share(tuple: &elb::TargetGroupTuple) -> Result<Forward, Rejection> {
    let weight = u32::try_from(tuple.weight.unwrap_or(1));
    let weight = weight.map_err(|_| Rejection::validation("weight must be 0 to 999"))?;
    Ok(Forward {
        target_group: name::target_group(tuple.target_group_arn.as_deref())?,
        weight,
    })
}

fn sticky_for(config: &elb::TargetGroupStickinessConfig) -> Result<Option<u32>, Rejection> {
    if config.enabled != Some(true) {
        return Ok(None);
    }
    let seconds = u32::try_from(config.duration_seconds.unwrap_or(STICKINESS));
    seconds.map(Some).map_err(|_| {
        Rejection::validation("target group stickiness duration must be 1 to 604800 seconds")
    })
}

fn redirect(config: &elb::RedirectActionConfig) -> Result<Redirect, Rejection> {
    let own = Redirect::default();
    let given = |given: &Option<String>, own: String| given.clone().unwrap_or(own);
    Ok(Redirect {
        protocol: given(&config.protocol, own.protocol),
        port: given(&config.port, own.port),
        host: given(&config.host, own.host),
        path: given(&config.path, own.path),
        query: given(&config.query, own.query),
        permanent: match config.status_code.as_deref() {
            Some("HTTP_301") => true,
            Some("HTTP_302") => false,
            other => {
                return Err(Rejection::validation(format!(
                    "redirect status code must be HTTP_301 or HTTP_302, not '{}'",
                    other.unwrap_or_default()
                )));
            }
        },
    })
}

fn fixed_response(config: &elb::FixedResponseActionConfig) -> Result<FixedResponse, Rejection> {
    let status_code = config.status_code.as_deref().unwrap_or_default();
    Ok(FixedResponse {
        status_code: status_code.parse().map_err(|_| {
            Rejection::validation(format!(
                "fixed-response status code must be 2XX, 4XX or 5XX, not '{status_code}'"
            ))
        })?,
        content_type: config.content_type.clone().unwrap_or_default(),
        body: config.message_body.clone().unwrap_or_default(),
    })
}
