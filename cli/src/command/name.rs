//! Turns the names that people type into the ARNs that ELB wants. An ARN is taken as it is.

use roadstead_client::proto::acm::CertificateSummary;
use roadstead_client::proto::elb::{
    DescribeListenersRequest, DescribeListenersResponse, DescribeLoadBalancersRequest,
    DescribeTargetGroupsRequest,
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
