//! The public API: one handler for each operation, the same for every encoding.
//!
//! A handler reads the request, checks what only it can know, and either reads a linearizable
//! snapshot or writes one command. `convert` is the only place where wire and core types meet.

mod acm;
mod certificate;
mod cluster;
mod console;
mod container_instance;
pub(crate) mod convert;
mod ecs;
mod elb;
mod join;
mod listener;
mod load_balancer;
mod membership;
mod page;
mod rule;
mod service;
pub(crate) mod status;
mod target_group;
mod task;
mod task_definition;
mod task_placement;

use std::sync::Arc;

use roadstead_core::{ClusterState, Command, Exception, Rejection};

use crate::raft::Node;
use crate::sealing::Sealing;
pub(crate) use acm::Acm;
pub(crate) use console::Console;
pub(crate) use ecs::Ecs;
pub(crate) use elb::Elb;
pub(crate) use join::Join;
pub(crate) use membership::Membership;
use status::Refusal;

/// Makes the gRPC service of an API out of its operations: what each takes and gives, and the handler
/// that carries it out. `wire` names the messages where it is used.
macro_rules! operations {
    (
        #[doc = $doc:literal]
        $name:ident as $server:ident::$service:ident {
            $($method:ident: $request:ident => $response:ident, $handler:path),+ $(,)?
        }
    ) => {
        #[doc = $doc]
        #[derive(Debug)]
        pub(crate) struct $name(super::Api);

        impl $name {
            pub(crate) fn new(api: &super::Api) -> Self {
                Self(api.clone())
            }
        }

        #[tonic::async_trait]
        impl wire::$server::$service for $name {
            $(async fn $method(
                &self,
                request: tonic::Request<wire::$request>,
            ) -> Result<tonic::Response<wire::$response>, tonic::Status> {
                Ok(tonic::Response::new($handler(&self.0, request.into_inner()).await?))
            })+
        }
    };
}
use operations;

/// How often a change is decided when others are faster; they rarely are.
const MOST_DECISIONS: usize = 8;

/// What every handler works with.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    node: Arc<Node>,
    sealing: Arc<Sealing>,
}

impl Api {
    pub(crate) fn new(node: &Arc<Node>, sealing: &Arc<Sealing>) -> Self {
        Self {
            node: Arc::clone(node),
            sealing: Arc::clone(sealing),
        }
    }

    /// Returns a state that holds every acknowledged write.
    async fn read(&self) -> Result<Arc<ClusterState>, Refusal> {
        Ok(self.node.read().await?)
    }

    /// Writes a command and returns a state that holds it.
    async fn write(&self, command: Command) -> Result<Arc<ClusterState>, Refusal> {
        self.node.write(command).await??;
        Ok(self.node.newest())
    }

    /// Writes what is decided on the newest state, and decides again when somebody else was faster.
    async fn change(
        &self,
        decide: impl Fn(&ClusterState) -> Result<Command, Rejection>,
    ) -> Result<Arc<ClusterState>, Refusal> {
        for _ in 0..MOST_DECISIONS {
            let command = decide(&*self.read().await?)?;
            match self.node.write(command).await? {
                Err(rejection) if rejection.exception == Exception::Stale => {}
                Err(rejection) => return Err(rejection.into()),
                Ok(_) => return Ok(self.node.newest()),
            }
        }
        let message = "it is changed again and again meanwhile; try again";
        Err(Rejection::new(Exception::Stale, message).into())
    }
}

/// The failure of a describe for something that does not exist.
fn missing(arn: String) -> roadstead_proto::ecs::Failure {
    roadstead_proto::ecs::Failure {
        arn: Some(arn),
        reason: Some("MISSING".to_owned()),
        detail: None,
    }
}

/// Refuses a list in a request that is longer than ECS takes.
fn within(length: usize, most: usize, field: &str) -> Result<(), Rejection> {
    if length <= most {
        return Ok(());
    }
    Err(Rejection::invalid(format!(
        "{field} may have at most {most} entries."
    )))
}
