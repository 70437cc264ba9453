//! Amazon Resource Names in the long format, made and read.
//!
//! Rules: "Amazon Resource Names (ARNs)" in the ECS and Elastic Load Balancing references.

use crate::id::{
    CertificateId, ClusterName, ContainerInstanceId, ListenerRef, LoadBalancerName, RuleId,
    ServiceId, TargetGroupName, TaskDefinitionId, TaskId,
};

/// The partition in which this control plane's resources live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arns {
    ecs: String,
    elb: String,
    acm: String,
}

impl Arns {
    /// Returns the maker of ARNs for one region and account.
    #[must_use]
    pub fn new(region: &str, account: &str) -> Self {
        Self {
            ecs: format!("arn:aws:ecs:{region}:{account}:"),
            elb: format!("arn:aws:elasticloadbalancing:{region}:{account}:"),
            acm: format!("arn:aws:acm:{region}:{account}:"),
        }
    }

    #[must_use]
    pub fn cluster(&self, cluster: &ClusterName) -> String {
        format!("{}cluster/{cluster}", self.ecs)
    }

    #[must_use]
    pub fn service(&self, service: &ServiceId) -> String {
        format!("{}service/{service}", self.ecs)
    }

    #[must_use]
    pub fn task(&self, cluster: &ClusterName, task: &TaskId) -> String {
        format!("{}task/{cluster}/{task}", self.ecs)
    }

    #[must_use]
    pub fn container(&self, cluster: &ClusterName, task: &TaskId, name: &str) -> String {
        format!("{}container/{cluster}/{task}/{name}", self.ecs)
    }

    #[must_use]
    pub fn container_instance(
        &self,
        cluster: &ClusterName,
        instance: &ContainerInstanceId,
    ) -> String {
        format!("{}container-instance/{cluster}/{instance}", self.ecs)
    }

    #[must_use]
    pub fn task_definition(&self, definition: &TaskDefinitionId) -> String {
        format!("{}task-definition/{definition}", self.ecs)
    }

    #[must_use]
    pub fn load_balancer(&self, name: &LoadBalancerName) -> String {
        format!(
            "{}loadbalancer/app/{name}/{}",
            self.elb,
            name_id(name.as_str())
        )
    }

    #[must_use]
    pub fn target_group(&self, name: &TargetGroupName) -> String {
        format!("{}targetgroup/{name}/{}", self.elb, name_id(name.as_str()))
    }

    #[must_use]
    pub fn certificate(&self, certificate: &CertificateId) -> String {
        format!("{}certificate/{certificate}", self.acm)
    }

    #[must_use]
    pub fn listener(&self, listener: &ListenerRef) -> String {
        let (name, id) = (&listener.load_balancer, &listener.listener);
        format!(
            "{}listener/app/{name}/{}/{id}",
            self.elb,
            name_id(name.as_str())
        )
    }

    #[must_use]
    pub fn rule(&self, listener: &ListenerRef, rule: &RuleId) -> String {
        let (name, id) = (&listener.load_balancer, &listener.listener);
        format!(
            "{}listener-rule/app/{name}/{}/{id}/{rule}",
            self.elb,
            name_id(name.as_str())
        )
    }
}

/// ELB ends an ARN in 16 hex digits. A name is unique here, so they are made from it (FNV-1a).
fn name_id(name: &str) -> String {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Splits an ARN's resource part, such as `service/web/api`; `None` for a text that is no ARN.
#[must_use]
pub fn resource(arn: &str) -> Option<Vec<&str>> {
    let mut parts = arn.splitn(6, ':');
    if parts.next()? != "arn" {
        return None;
    }
    parts.nth(4).map(|resource| resource.split('/').collect())
}

/// Returns the last part of an ARN, or the text itself when it is a short name.
#[must_use]
pub fn short_name(text: &str) -> &str {
    match resource(text) {
        Some(parts) => parts.last().copied().unwrap_or(text),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_arns_are_made_as_ecs_makes_them() {
        let arns = Arns::new("eu-west-1", "123456789012");
        let cluster = ClusterName::new("prod");
        assert_eq!(
            arns.task(&cluster, &TaskId::new("0af1")),
            "arn:aws:ecs:eu-west-1:123456789012:task/prod/0af1"
        );
        let arn = arns.target_group(&TargetGroupName::new("web"));
        assert!(
            arn.starts_with("arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/")
        );
    }

    #[test]
    fn a_short_name_and_an_arn_name_the_same_thing() {
        assert_eq!(short_name("web"), "web");
        assert_eq!(short_name("arn:aws:ecs:r:1:service/prod/web"), "web");
        assert_eq!(short_name("arn:aws:ecs:r:1:task-definition/web:7"), "web:7");
    }
}
