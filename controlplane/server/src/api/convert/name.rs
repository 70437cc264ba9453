//! References in requests: a short name, an id or an ARN.

use std::num::NonZeroU32;

use roadstead_core::id::{
    CertificateId, ClusterName, ContainerInstanceId, Family, ListenerId, ListenerRef,
    LoadBalancerName, RuleId, ServiceName, TargetGroupName, TaskId,
};
use roadstead_core::{Exception, Rejection, arn};

/// Reads a cluster; ECS takes a missing one as `default`.
pub(crate) fn cluster(reference: Option<&str>) -> ClusterName {
    ClusterName::new(
        reference
            .filter(|text| !text.is_empty())
            .map_or("default", arn::short_name),
    )
}

pub(crate) fn service(reference: Option<&str>) -> Result<ServiceName, Rejection> {
    required(reference, "service").map(|text| ServiceName::new(arn::short_name(text)))
}

pub(crate) fn task(reference: Option<&str>) -> Result<TaskId, Rejection> {
    required(reference, "task").map(|text| TaskId::new(arn::short_name(text)))
}

pub(crate) fn container_instance(
    reference: Option<&str>,
) -> Result<ContainerInstanceId, Rejection> {
    required(reference, "containerInstance")
        .map(|text| ContainerInstanceId::new(arn::short_name(text)))
}

/// Reads `family`, `family:revision` or an ARN.
pub(crate) fn task_definition(
    reference: Option<&str>,
) -> Result<(Family, Option<NonZeroU32>), Rejection> {
    let text = arn::short_name(required(reference, "taskDefinition")?);
    let Some((family, revision)) = text.split_once(':') else {
        return Ok((Family::new(text), None));
    };
    let number = revision
        .parse()
        .map_err(|_| Rejection::client(format!("Invalid revision number. Number: {revision}")))?;
    Ok((Family::new(family), Some(number)))
}

/// Reads a load balancer's ARN or name.
pub(crate) fn load_balancer(reference: Option<&str>) -> Result<LoadBalancerName, Rejection> {
    let text = required_by_elb(reference, "loadBalancerArn")?;
    match arn::resource(text).as_deref() {
        Some(["loadbalancer", "app", name, _]) => Ok(LoadBalancerName::new(*name)),
        Some(_) => Err(bad_arn(
            Exception::LoadBalancerNotFound,
            "loadBalancerArn",
            text,
        )),
        None => Ok(LoadBalancerName::new(text)),
    }
}

/// Reads a target group's ARN or name.
pub(crate) fn target_group(reference: Option<&str>) -> Result<TargetGroupName, Rejection> {
    let text = required_by_elb(reference, "targetGroupArn")?;
    match arn::resource(text).as_deref() {
        Some(["targetgroup", name, _]) => Ok(TargetGroupName::new(*name)),
        Some(_) => Err(bad_arn(
            Exception::TargetGroupNotFound,
            "targetGroupArn",
            text,
        )),
        None => Ok(TargetGroupName::new(text)),
    }
}

pub(crate) fn certificate(reference: Option<&str>) -> Result<CertificateId, Rejection> {
    let text = required_by_elb(reference, "certificateArn")?;
    match arn::resource(text).as_deref() {
        Some(["certificate", id]) => Ok(CertificateId::new(*id)),
        Some(_) | None => Err(bad_arn(
            Exception::CertificateNotFound,
            "certificateArn",
            text,
        )),
    }
}

pub(crate) fn listener(reference: Option<&str>) -> Result<ListenerRef, Rejection> {
    let text = required_by_elb(reference, "listenerArn")?;
    match arn::resource(text).as_deref() {
        Some(["listener", "app", name, _, id]) => Ok(listener_ref(name, id)),
        Some(_) | None => Err(bad_arn(Exception::ListenerNotFound, "listenerArn", text)),
    }
}

pub(crate) fn rule(reference: Option<&str>) -> Result<(ListenerRef, RuleId), Rejection> {
    let text = required_by_elb(reference, "ruleArn")?;
    match arn::resource(text).as_deref() {
        Some(["listener-rule", "app", name, _, listener, rule]) => {
            Ok((listener_ref(name, listener), RuleId::new(*rule)))
        }
        Some(_) | None => Err(bad_arn(Exception::RuleNotFound, "ruleArn", text)),
    }
}

fn listener_ref(load_balancer: &str, listener: &str) -> ListenerRef {
    ListenerRef {
        load_balancer: LoadBalancerName::new(load_balancer),
        listener: ListenerId::new(listener),
    }
}

fn required<'a>(reference: Option<&'a str>, field: &str) -> Result<&'a str, Rejection> {
    reference
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Rejection::invalid(format!("{field} must not be empty.")))
}

fn required_by_elb<'a>(reference: Option<&'a str>, field: &str) -> Result<&'a str, Rejection> {
    reference
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Rejection::validation(format!("{field} is required")))
}

fn bad_arn(exception: Exception, field: &str, text: &str) -> Rejection {
    Rejection::new(exception, format!("{field} '{text}' is not valid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_definition_is_named_by_family_revision_or_arn() {
        let family = Family::new("web");
        let seven = NonZeroU32::new(7);
        assert_eq!(
            task_definition(Some("web")).unwrap(),
            (family.clone(), None)
        );
        assert_eq!(
            task_definition(Some("web:7")).unwrap(),
            (family.clone(), seven)
        );
        let arn = "arn:aws:ecs:local:000000000000:task-definition/web:7";
        assert_eq!(task_definition(Some(arn)).unwrap(), (family, seven));
        let error = task_definition(Some("web:foo")).unwrap_err();
        assert_eq!(error.message, "Invalid revision number. Number: foo");
    }

    #[test]
    fn an_arn_of_another_kind_is_refused_by_field() {
        let error = target_group(Some("arn:aws:ecs:local:1:service/a/b")).unwrap_err();
        assert_eq!(error.exception, Exception::TargetGroupNotFound);
        assert!(error.message.contains("targetGroupArn"), "{error}");
    }
}
