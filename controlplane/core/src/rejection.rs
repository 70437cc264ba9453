//! The answer of a rule that says no.

use serde::{Deserialize, Serialize};

/// The name that ECS, ELB or ACM gives to a refusal; clients match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exception {
    ClientException,
    InvalidParameterException,
    ClusterNotFoundException,
    ClusterContainsServicesException,
    ClusterContainsContainerInstancesException,
    ClusterContainsTasksException,
    ServiceNotFoundException,
    ServiceNotActiveException,
    LoadBalancerNotFound,
    TargetGroupNotFound,
    ListenerNotFound,
    RuleNotFound,
    DuplicateLoadBalancerName,
    DuplicateTargetGroupName,
    DuplicateListener,
    PriorityInUse,
    TooManyRules,
    TooManyCertificates,
    CertificateNotFound,
    LimitExceeded,
    OperationNotPermitted,
    ResourceInUse,
    ValidationError,
    /// Not for clients: a loop's decision came too late, and the next pass decides afresh.
    Stale,
}

impl Exception {
    /// Returns the name as it stands on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientException => "ClientException",
            Self::InvalidParameterException => "InvalidParameterException",
            Self::ClusterNotFoundException => "ClusterNotFoundException",
            Self::ClusterContainsServicesException => "ClusterContainsServicesException",
            Self::ClusterContainsContainerInstancesException => {
                "ClusterContainsContainerInstancesException"
            }
            Self::ClusterContainsTasksException => "ClusterContainsTasksException",
            Self::ServiceNotFoundException => "ServiceNotFoundException",
            Self::ServiceNotActiveException => "ServiceNotActiveException",
            Self::LoadBalancerNotFound => "LoadBalancerNotFound",
            Self::TargetGroupNotFound => "TargetGroupNotFound",
            Self::ListenerNotFound => "ListenerNotFound",
            Self::RuleNotFound => "RuleNotFound",
            Self::DuplicateLoadBalancerName => "DuplicateLoadBalancerName",
            Self::DuplicateTargetGroupName => "DuplicateTargetGroupName",
            Self::DuplicateListener => "DuplicateListener",
            Self::PriorityInUse => "PriorityInUse",
            Self::TooManyRules => "TooManyRules",
            Self::TooManyCertificates => "TooManyCertificates",
            Self::CertificateNotFound => "CertificateNotFound",
            Self::LimitExceeded => "LimitExceededException",
            Self::OperationNotPermitted => "OperationNotPermitted",
            Self::ResourceInUse => "ResourceInUse",
            Self::ValidationError => "ValidationError",
            Self::Stale => "ServerException",
        }
    }
}

/// Why a command was refused. The state is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    pub exception: Exception,
    pub message: String,
}

impl Rejection {
    pub fn new(exception: Exception, message: impl Into<String>) -> Self {
        Self {
            exception,
            message: message.into(),
        }
    }

    /// A `ClientException`: what the request asks for is wrong.
    pub fn client(message: impl Into<String>) -> Self {
        Self::new(Exception::ClientException, message)
    }

    /// An `InvalidParameterException`: one parameter is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Exception::InvalidParameterException, message)
    }

    /// A `ValidationError` of ELB.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(Exception::ValidationError, message)
    }

    pub(crate) fn stale(message: impl Into<String>) -> Self {
        Self::new(Exception::Stale, message)
    }
}
