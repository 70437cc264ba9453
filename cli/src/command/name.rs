//! Turns the names that people type into the ARNs that ELB wants. An ARN is taken as it is.

use roadstead_client::proto::acm::CertificateSummary;
use roadstead_client::proto::elb::{
    DescribeListenersRequest, DescribeListenersResponse, DescribeLoadBalancersRequest,
    DescribeRulesRequest, DescribeRulesResponse, DescribeTargetGroupsRequest,
};

use super::certificate;
use crate::connection::Connection;
use crate::error::Error;

/// Whether a text is an ARN already.
fn is_arn(text: &str) -> bool {
    text.starts_with("arn:")
}

/// Returns the ARN of a target group.
pub(super) async fn target_group(connection: &Connection, name: &str) -> Result<String, Error> {
    if is_arn(name) {
        return Ok(name.to_owned());
    }
    let request = DescribeTargetGroupsRequest {
        names: vec![name.to_owned()],
        ..Default::default()
    };
    let found = connection
        .elb(async |mut elb| elb.describe_target_groups(request.clone()).await)
        .await?;
    let arn = found
        .target_groups
        .into_iter()
        .find_map(|group| group.target_group_arn);
    arn.ok_or_else(|| Error::Unfit(format!("there is no target group {name}")))
}

/// Returns the ARN of a load balancer.
pub(super) async fn load_balancer(connection: &Connection, name: &str) -> Result<String, Error> {
    if is_arn(name) {
        return Ok(name.to_owned());
    }
    let request = DescribeLoadBalancersRequest {
        names: vec![name.to_owned()],
        ..Default::default()
    };
    let found = connection
        .elb(async |mut elb| elb.describe_load_balancers(request.clone()).await)
        .await?;
    let arn = found
        .load_balancers
        .into_iter()
        .find_map(|found| found.load_balancer_arn);
    arn.ok_or_else(|| Error::Unfit(format!("there is no load balancer {name}")))
}

/// Returns the ARN of a certificate, which people call by one of its names.
pub(super) async fn certificate(connection: &Connection, name: &str) -> Result<String, Error> {
    if is_arn(name) {
        return Ok(name.to_owned());
    }
    let all = certificate::list(connection).await?;
    let known = |one: &&CertificateSummary| {
        let mut names = one.subject_alternative_name_summaries.iter();
        names.any(|known| known.eq_ignore_ascii_case(name))
    };
    let found: Vec<_> = all.iter().filter(known).collect();
    match found.as_slice() {
        [one] => Ok(one.certificate_arn.clone().unwrap_or_default()),
        [] => Err(Error::Unfit(format!("there is no certificate for {name}"))),
        several => Err(Error::Unfit(format!(
            "{} certificates are for {name}; give the ARN of one, from `ctl certificate list`",
            several.len()
        ))),
    }
}

/// Returns the ARN of a listener, which people write as `LOAD_BALANCER:PORT`.
pub(super) async fn listener(connection: &Connection, name: &str) -> Result<String, Error> {
    if is_arn(name) {
        return Ok(name.to_owned());
    }
    let parts = name
        .rsplit_once(':')
        .and_then(|(load_balancer, port)| Some((load_balancer, port.parse::<i32>().ok()?)));
    let Some((owner, port)) = parts else {
        return Err(Error::Unfit(format!(
            "listener `{name}` is neither an ARN nor of the form LOAD_BALANCER:PORT"
        )));
    };
    let arn = load_balancer(connection, owner).await?;
    let found = listeners(connection, arn).await?.listeners;
    let listener = found
        .into_iter()
        .find(|listener| listener.port == Some(port));
    let arn = listener.and_then(|listener| listener.listener_arn);
    arn.ok_or_else(|| {
        Error::Unfit(format!(
            "load balancer {owner} has no listener on port {port}"
        ))
    })
}

/// Returns the listeners of one load balancer, given by its ARN.
pub(super) async fn listeners(
    connection: &Connection,
    load_balancer_arn: String,
) -> Result<DescribeListenersResponse, Error> {
    let request = DescribeListenersRequest {
        load_balancer_arn: Some(load_balancer_arn),
        ..Default::default()
    };
    connection
        .elb(async |mut elb| elb.describe_listeners(request.clone()).await)
        .await
}

/// Returns the ARN of a rule, which people write as `LOAD_BALANCER:PORT:PRIORITY`.
pub(super) async fn rule(connection: &Connection, name: &str) -> Result<String, Error> {
    if is_arn(name) {
        return Ok(name.to_owned());
    }
    let (owner, priority) = rule_parts(name)?;
    let listener_arn = listener(connection, owner).await?;
    let found = rules(connection, listener_arn).await?.rules.into_iter();
    let wanted = priority.to_string();
    let mut found = found.filter(|rule| rule.priority.as_deref() == Some(&wanted));
    let arn = found.next().and_then(|rule| rule.rule_arn);
    arn.ok_or_else(|| {
        Error::Unfit(format!(
            "listener {owner} has no rule of priority {priority}"
        ))
    })
}

/// Returns the listener of a rule, and the rule's priority.
fn rule_parts(name: &str) -> Result<(&str, u32), Error> {
    let parts = name
        .rsplit_once(':')
        .filter(|(owner, _)| owner.contains(':'));
    let parts = parts.and_then(|(owner, priority)| Some((owner, priority.parse().ok()?)));
    parts.ok_or_else(|| {
        Error::Unfit(format!(
            "rule `{name}` is neither an ARN nor of the form LOAD_BALANCER:PORT:PRIORITY"
        ))
    })
}

/// Returns the rules of one listener, given by its ARN.
pub(super) async fn rules(
    connection: &Connection,
    listener_arn: String,
) -> Result<DescribeRulesResponse, Error> {
    let request = DescribeRulesRequest {
        listener_arn: Some(listener_arn),
    };
    connection
        .elb(async |mut elb| elb.describe_rules(request.clone()).await)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_rule_is_that_of_its_listener_and_its_priority() {
        assert_eq!(rule_parts("shop:443:10").unwrap(), ("shop:443", 10));
        for unfit in ["shop", "shop:443", "shop:443:", "shop:443:default"] {
            let error = rule_parts(unfit).unwrap_err().to_string();
            assert!(error.contains("LOAD_BALANCER:PORT:PRIORITY"), "{error}");
        }
    }
}
