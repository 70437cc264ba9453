//! Leases: what is made under one is not collected before it ends, or before it expires by itself
//! when the agent is killed.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::{CreateRequest, DeleteRequest};
use tonic::Code;
use tracing::warn;

use super::client::{Client, ContainerdError, Lease, Tolerate, answer};
use crate::reason::chain;

const EXPIRY: &str = "containerd.io/gc.expire";
/// Longer than any pull may take.
const LIFETIME: Duration = Duration::from_secs(3 * 3600);

impl Client {
    pub(super) async fn begin_lease(&self) -> Result<Lease, ContainerdError> {
        let id = format!("pull-{:016x}", rand::random::<u64>());
        let expiry = humantime::format_rfc3339_seconds(SystemTime::now() + LIFETIME);
        let request = CreateRequest {
            id: id.clone(),
            labels: HashMap::from([(EXPIRY.to_owned(), expiry.to_string())]),
        };
        let mut leases = LeasesClient::new(self.channel());
        answer(leases.create(self.request(request)).await)?;
        let id = id.parse().map_err(|_| ContainerdError::Refused {
            code: Code::InvalidArgument,
            message: "the lease's id is not a header value".to_owned(),
        })?;
        Ok(Lease { id })
    }

    /// Ends a lease. One that stays behind ends by itself.
    pub(super) async fn end_lease(&self, lease: Lease) {
        let id = lease.id.to_str().unwrap_or_default().to_owned();
        let request = DeleteRequest { id, sync: false };
        let mut leases = LeasesClient::new(self.channel());
        let ended = leases.delete(self.request(request)).await;
        if let Err(error) = ended.unless(Code::NotFound) {
            warn!(error = chain(&error), "a lease is left to expire");
        }
    }
}
