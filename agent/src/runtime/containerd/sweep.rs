//! Removes everything that the agent has in containerd: its whole namespace.

use std::time::Duration;

use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::namespaces_client::NamespacesClient;
use containerd_client::services::v1::snapshots::ListSnapshotsRequest;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::{
    DeleteContentRequest, DeleteImageRequest, DeleteNamespaceRequest, DeleteRequest,
    ListContainersRequest, ListContentRequest, ListImagesRequest, ListRequest,
};
use tonic::Code;

use super::Containerd;
use super::client::{Client, ContainerdError, Tolerate, answer};
use super::snapshot::SNAPSHOTTER;
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
    sweep_snapshots(client).await?;
    sweep_content(client).await?;
    let delete = DeleteNamespaceRequest {
        name: client.namespace().to_owned(),
    };
    NamespacesClient::new(client.channel())
        .delete(client.long(delete, COLLECT_DEADLINE))
        .await
        .unless(Code::NotFound)
}

/// Removes snapshots from the leaves to the roots: each round takes those that nothing stands on.
async fn sweep_snapshots(client: &Client) -> Result<(), ContainerdError> {
    loop {
        let names = snapshot_names(client).await?;
        let mut removed = 0;
        for (name, _) in &names {
            if names.iter().any(|(_, parent)| parent == name) {
                continue;
            }
            client.remove_snapshot(name).await?;
            removed += 1;
        }
        if removed == 0 {
            return Ok(());
        }
    }
}

/// Returns the snapshots with their parents.
async fn snapshot_names(client: &Client) -> Result<Vec<(String, String)>, ContainerdError> {
    let list = ListSnapshotsRequest {
        snapshotter: SNAPSHOTTER.to_owned(),
        ..ListSnapshotsRequest::default()
    };
    let mut snapshots = SnapshotsClient::new(client.channel());
    let mut stream = answer(snapshots.list(client.request(list)).await)?;
    let mut names = Vec::new();
    while let Some(page) = stream.message().await? {
        let page = page.info.into_iter();
        names.extend(page.map(|info| (info.name, info.parent)));
    }
    Ok(names)
}

async fn sweep_content(client: &Client) -> Result<(), ContainerdError> {
    let mut content = ContentClient::new(client.channel());
    let list = ListContentRequest::default();
    let mut stream = answer(content.list(client.request(list)).await)?;
    let mut digests = Vec::new();
    while let Some(page) = stream.message().await? {
        digests.extend(page.info.into_iter().map(|info| info.digest));
    }
    for digest in digests {
        let delete = DeleteContentRequest { digest };
        let deleted = content.delete(client.request(delete)).await;
        deleted.unless(Code::NotFound)?;
    }
    Ok(())
}
