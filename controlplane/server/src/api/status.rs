//! The only place where a refusal becomes a gRPC status.

use roadstead_core::{Exception, Rejection};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::raft::RaftError;
use crate::sealing::SealingError;

/// Metadata of a refusal: the name of the ECS, ELB or ACM exception.
const EXCEPTION_METADATA: &str = "roadstead-error";

/// Why an operation was not carried out.
#[derive(Debug)]
pub(crate) struct Refusal(Status);

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self(rejected(&rejection))
    }
}

impl From<RaftError> for Refusal {
    fn from(error: RaftError) -> Self {
        Self(error.into())
    }
}

impl From<SealingError> for Refusal {
    fn from(error: SealingError) -> Self {
        Self(error.into())
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        refusal.0
    }
}

/// Builds the status that tells of a refusal by a rule.
pub(crate) fn rejected(rejection: &Rejection) -> Status {
    let mut status = Status::new(code(rejection.exception), rejection.message.clone());
    let name = MetadataValue::from_static(rejection.exception.name());
    status.metadata_mut().insert(EXCEPTION_METADATA, name);
    status
}

fn code(exception: Exception) -> Code {
    match exception {
        Exception::ClientException
        | Exception::InvalidParameterException
        | Exception::ValidationError => Code::InvalidArgument,
        Exception::ClusterNotFoundException
        | Exception::ServiceNotFoundException
        | Exception::LoadBalancerNotFound
        | Exception::TargetGroupNotFound
        | Exception::ListenerNotFound
        | Exception::RuleNotFound
        | Exception::CertificateNotFound => Code::NotFound,
        Exception::DuplicateLoadBalancerName
        | Exception::DuplicateTargetGroupName
        | Exception::DuplicateListener
        | Exception::PriorityInUse => Code::AlreadyExists,
        Exception::ClusterContainsServicesException
        | Exception::ClusterContainsContainerInstancesException
        | Exception::ClusterContainsTasksException
        | Exception::ServiceNotActiveException
        | Exception::OperationNotPermitted
        | Exception::ResourceInUse => Code::FailedPrecondition,
        Exception::TooManyRules | Exception::TooManyCertificates | Exception::LimitExceeded => {
            Code::ResourceExhausted
        }
        Exception::Stale => Code::Aborted,
    }
}
