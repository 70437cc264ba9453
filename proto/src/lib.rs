//! The contract, and nothing but the contract.
//!
//! `ecs`, `elb` and `acm` are the public API in the words of Amazon ECS, Elastic Load Balancing v2 and Certificate Manager;
//! serde gives their messages the JSON shapes of the AWS CLI. `console` is what `ctl` needs beside
//! them. `agent`, `lb`, `raft` and `join` are internal.

#![allow(
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

mod blob;
mod secret;

/// Amazon ECS, operation by operation.
pub mod ecs {
    pub use v1::*;
    pub mod v1 {
        tonic::include_proto!("roadstead.ecs.v1");
    }
}

/// Elastic Load Balancing v2, operation by operation.
pub mod elb {
    pub use v1::*;
    pub mod v1 {
        tonic::include_proto!("roadstead.elb.v1");
    }
}

/// AWS Certificate Manager, operation by operation.
pub mod acm {
    pub use v1::*;
    pub mod v1 {
        tonic::include_proto!("roadstead.acm.v1");
    }
}

/// Live views and logs: what a console needs and AWS has no operation for.
pub mod console {
    pub use v1::*;
    pub mod v1 {
        tonic::include_proto!("roadstead.console.v1");
    }
}

/// The session of an agent.
pub mod agent {
    pub use v1::*;
    pub mod v1 {
        tonic::include_proto!("roadstead.agent.v1");
    }
}

/// The session of a load balancer.
pub mod lb {
    pub use v1::*;
    pub mod v1 {
        tonic::include_proto!("roadstead.lb.v1");
    }
}

/// A token for a certificate.
pub mod join {
    pub use v1::*;
    pub mod v1 {
        tonic::include_proto!("roadstead.join.v1");
    }
}

/// What the servers of the control plane say to each other.
pub mod raft {
    pub use v1::*;
    pub mod v1 {
        tonic::include_proto!("roadstead.raft.v1");
    }
}
