//! Names and ids, each a type of its own.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text that the caller has checked.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    )+};
}

text_id! {
    /// The name of a cluster, unique.
    ClusterName,
    /// The name of a service, unique in its cluster.
    ServiceName,
    /// The family of task definitions.
    Family,
    /// 32 hex digits.
    TaskId,
    /// 32 hex digits, made by the agent at its first start.
    ContainerInstanceId,
    /// The name of a load balancer, unique.
    LoadBalancerName,
    /// The name of a target group, unique.
    TargetGroupName,
    /// 16 hex digits: the last part of a listener's ARN.
    ListenerId,
    /// 16 hex digits: the last part of a rule's ARN.
    RuleId,
    /// One process that balances load, made by it at its first start.
    NodeId,
    /// 16 hex digits: what names a join token without its secret.
    JoinTokenId,
    /// 32 hex digits: the last part of a certificate's ARN.
    CertificateId,
}

/// One revision of a family, written `web:7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskDefinitionId {
    pub family: Family,
    pub revision: NonZeroU32,
}

impl fmt::Display for TaskDefinitionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.family, self.revision)
    }
}

/// A service in its cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceId {
    pub cluster: ClusterName,
    pub service: ServiceName,
}

impl fmt::Display for ServiceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.cluster, self.service)
    }
}

/// One deployment of a service, written `ecs-svc/1234567890123456789`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeploymentId(pub u64);

impl fmt::Display for DeploymentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ecs-svc/{}", self.0)
    }
}

/// A listener with the load balancer that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ListenerRef {
    pub load_balancer: LoadBalancerName,
    pub listener: ListenerId,
}
