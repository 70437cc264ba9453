//! Removes everything that the agent has in containerd: its whole namespace.

use std::time::Duration;

use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::namespaces_client::NamespacesClient;
use containerd_client::services::v1::{
    DeleteImageRequest, DeleteNamespaceRequest, DeleteRequest, ListContainersRequest,
    ListImagesRequest, ListRequest,
};
use tonic::Code;

use super::Containerd;
use super::client::{Client, ContainerdError, Tolerate, answer};
use crate::runtime::{ContainerId, RuntimeError};

/// Collecting a large image's files takes a while.
const COLLECT_DEADLINE: Duration = Duration::from_secs(120);

impl Containerd {
    /// Returns the containers in the agent's namespace. What is not ours by its name is left alone.
    pub(super) async fn container_ids(&self) -> Result<Vec<ContainerId>, ContainerdError> {
        let list = ListContainersRequest::default();
        let mut containers = ContainersClient::new(self.client.channel());
        let listed = answer(containers.list(self.client.request(list)).await)?;
        let ids = listed.containers.iter();
        Ok(ids.filter_map(|c| ContainerId::parse(&c.id)).collect())
    }

    /// Removes the namespace with all that is in it.
    pub(crate) async fn sweep(&self) -> Result<(), RuntimeError> {
        let error = |error: ContainerdError| RuntimeError::Restore(error.into());
        for id in self.container_ids().await.map_err(error)? {
            self.clear(&id).await?;
        }
        // Before containerd goes: it is who tells them to end.
        self.shims.end().await;
        sweep_namespace(&self.client).await.map_err(error)
    }
}

async fn sweep_namespace(client: &Client) -> Result<(), ContainerdError> {
    let mut leases = LeasesClient::new(client.channel());
    let listed = answer(leases.list(client.request(ListRequest::default())).await)?;
    for lease in listed.leases {
        let delete = DeleteRequest {
            id: lease.id,
            sync: false,
        };
        let deleted = leases.delete(client.request(delete)).await;
        deleted.unless(Code::NotFound)?;
    }
    let mut images = ImagesClient::new(client.channel());
    let list = ListImagesRequest::default();
    for image in answer(images.list(client.request(list)).await)?.images {
        let delete = DeleteImageRequest {
            name: image.name,
            sync: false,
            ..DeleteImageRequest::default()
        };
        let deleted = images.delete(client.request(delete)).await;
        deleted.unless(Code::NotFound)?;
    }
    // Snapshots and blobs have lost what held them. The end of a lease collects them at once; removing
    // them one by one would race with the collector, which leaves parents that seem to have children.
    let lease = client.begin_lease().await?;
    let delete = DeleteRequest {
        id: lease.id.to_str().unwrap_or_default().to_owned(),
        sync: true,
    };
    let collected = leases.delete(client.long(delete, COLLECT_DEADLINE)).await;
    collected.unless(Code::NotFound)?;
    let delete = DeleteNamespaceRequest {
        name: client.namespace().to_owned(),
    };
    NamespacesClient::new(client.channel())
        .delete(client.long(delete, COLLECT_DEADLINE))
        .await
        .unless(Code::NotFound)
}
