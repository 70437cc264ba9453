//! One command's way to the control plane: connect, call with a deadline, follow the leader.
//!
//! A call is tried again only after UNAVAILABLE from a server, which says that nothing was done. A
//! connection that breaks in mid-call is reported: the request may have been carried out.

#[cfg(test)]
pub(crate) mod fake;

use std::time::Duration;

use roadstead_client::proto::acm::acm_client::AcmClient;
use roadstead_client::proto::console::console_client::ConsoleClient;
use roadstead_client::proto::console::membership_client::MembershipClient;
use roadstead_client::proto::ecs::ecs_client::EcsClient;
use roadstead_client::proto::elb::elb_client::ElbClient;
use roadstead_client::{Backoff, ControlPlane, did_nothing};
use serde::Serialize;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::context::Context;
use crate::error::Error;
use crate::output::{self, Format};

/// A report of tens of thousands of targets.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Long enough for an election, short enough for a person who waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// What a client command needs: whom to ask, about which cluster, and how to answer.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) control_plane: ControlPlane,
    pub(crate) cluster: Option<String>,
    pub(crate) format: Format,
}

impl Connection {
    /// Returns a way to the control plane of `context`; nothing is connected yet.
    pub(crate) fn new(context: Context, format: Format) -> Self {
        Self {
            control_plane: ControlPlane::with_credentials(context.endpoints, context.credentials),
            cluster: context.cluster,
            format,
        }
    }

    /// Calls one operation of ECS.
    pub(crate) async fn ecs<T>(
        &self,
        operation: impl AsyncFn(EcsClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        self.call(async |channel| operation(EcsClient::new(channel)).await)
            .await
    }

    /// Calls one operation of Certificate Manager.
    pub(crate) async fn acm<T>(
        &self,
        operation: impl AsyncFn(AcmClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        self.call(async |channel| operation(AcmClient::new(channel)).await)
            .await
    }

    /// Calls one operation of Elastic Load Balancing.
    pub(crate) async fn elb<T>(
        &self,
        operation: impl AsyncFn(ElbClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        self.call(async |channel| operation(ElbClient::new(channel)).await)
            .await
    }

    /// Calls one operation of the console.
    pub(crate) async fn console<T>(
        &self,
        operation: impl AsyncFn(ConsoleClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        self.call(async |channel| {
            let console = ConsoleClient::new(channel);
            operation(console.max_decoding_message_size(MOST_BYTES)).await
        })
        .await
    }

    /// Calls one operation on who may join and is a member.
    pub(crate) async fn membership<T>(
        &self,
        operation: impl AsyncFn(MembershipClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        self.call(async |channel| operation(MembershipClient::new(channel)).await)
            .await
    }

    async fn call<T>(
        &self,
        operation: impl AsyncFn(Channel) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        let mut refusal = None;
        let attempts = self.attempts(operation, &mut refusal);
        match tokio::time::timeout(PATIENCE, attempts).await {
            Ok(outcome) => outcome,
            Err(_) => Err(refusal.map_or(Error::Deadline(PATIENCE), Error::from)),
        }
    }

    async fn attempts<T>(
        &self,
        operation: impl AsyncFn(Channel) -> Result<Response<T>, Status>,
        refusal: &mut Option<Status>,
    ) -> Result<T, Error> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            let channel = Box::pin(self.control_plane.connect()).await?;
            match Box::pin(operation(channel)).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) if did_nothing(&status) => {
                    self.control_plane.learn(&status);
                    *refusal = Some(status);
                    tokio::time::sleep(backoff.pause()).await;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }

    /// Writes the answer in the form that was asked for.
    pub(crate) fn show<T: Serialize>(
        &self,
        message: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Error> {
        match self.format {
            Format::Json => output::write_line(&output::json(message)?),
            Format::Table => output::write_line(&table(message)),
        }
    }
}

/// Whether asking again would get the same answer.
pub(crate) fn is_final(status: &Status) -> bool {
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => true,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => false,
    }
}

/// Follows `nextToken` to the end and returns the items of every page.
pub(crate) async fn every_page<T>(
    page: impl AsyncFn(Option<String>) -> Result<(Vec<T>, Option<String>), Error>,
) -> Result<Vec<T>, Error> {
    let mut items = Vec::new();
    let mut token = None;
    loop {
        let (more, next) = page(token).await?;
        items.extend(more);
        match next {
            None => return Ok(items),
            next => token = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_are_followed_to_the_end() {
        let items = every_page(async |token| match token.as_deref() {
            None => Ok((vec![1, 2], Some("more".to_owned()))),
            Some(_) => Ok((vec![3], None)),
        })
        .await
        .unwrap();
        assert_eq!(items, [1, 2, 3]);
    }
}
