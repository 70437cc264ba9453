//! Snapshots: the layers of images, and the writable layer of each container.

use std::time::Duration;

use containerd_client::services::v1::ApplyRequest;
use containerd_client::services::v1::diff_client::DiffClient;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{
    CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, StatSnapshotRequest,
};
use containerd_client::types::{self, Mount};
use tonic::{Code, Request};

use super::client::{Client, ContainerdError, Lease, Tolerate, answer};
use super::image::{Descriptor, ImageError};

pub(super) const SNAPSHOTTER: &str = "overlayfs";

/// A layer may be large, and the disk slow.
const APPLY_DEADLINE: Duration = Duration::from_secs(3600);

impl Client {
    pub(super) async fn has_snapshot(&self, name: &str) -> Result<bool, ContainerdError> {
        let request = StatSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            key: name.to_owned(),
        };
        let stat = SnapshotsClient::new(self.channel())
            .stat(self.request(request))
            .await;
        match answer(stat) {
            Ok(_) => Ok(true),
            Err(error) if error.is(Code::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Prepares a container's writable layer on top of its image; returns how to mount it.
    ///
    /// The container's record exists by now and names the snapshot: that keeps it from the collector.
    pub(super) async fn prepare_rootfs(
        &self,
        key: &str,
        parent: &str,
    ) -> Result<Vec<Mount>, ContainerdError> {
        self.prepare(self.request(preparation(key, parent))).await
    }

    pub(super) async fn remove_snapshot(&self, key: &str) -> Result<(), ContainerdError> {
        let request = RemoveSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            key: key.to_owned(),
        };
        SnapshotsClient::new(self.channel())
            .remove(self.request(request))
            .await
            .unless(Code::NotFound)
    }

    /// Unpacks one layer onto its parent, unless that has been done. `name` is its chain id.
    pub(super) async fn unpack_layer(
        &self,
        lease: &Lease,
        layer: &Descriptor,
        diff_id: &str,
        parent: &str,
        name: &str,
    ) -> Result<(), ImageError> {
        if self.has_snapshot(name).await? {
            return Ok(());
        }
        let key = format!("unpack-{:016x}-{name}", rand::random::<u64>());
        let prepared = Self::leased(self.request(preparation(&key, parent)), lease);
        let mounts = self.prepare(prepared).await?;
        let unpacked = self.apply(layer, diff_id, mounts).await;
        if let Err(error) = unpacked {
            self.remove_snapshot(&key).await?;
            return Err(error);
        }
        let commit = CommitSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            name: name.to_owned(),
            key: key.clone(),
            ..CommitSnapshotRequest::default()
        };
        let commit = Self::leased(self.request(commit), lease);
        match answer(SnapshotsClient::new(self.channel()).commit(commit).await) {
            // Another image has the same layer, and was faster.
            Err(error) if error.is(Code::AlreadyExists) => Ok(self.remove_snapshot(&key).await?),
            other => Ok(other.map(drop)?),
        }
    }

    async fn apply(
        &self,
        layer: &Descriptor,
        diff_id: &str,
        mounts: Vec<Mount>,
    ) -> Result<(), ImageError> {
        let request = ApplyRequest {
            diff: Some(types::Descriptor::from(layer)),
            mounts,
            ..ApplyRequest::default()
        };
        let request = self.long(request, APPLY_DEADLINE);
        let applied = answer(DiffClient::new(self.channel()).apply(request).await)?.applied;
        let digest = applied.map_or(String::new(), |applied| applied.digest);
        if digest == diff_id {
            return Ok(());
        }
        Err(ImageError::WrongLayer {
            layer: layer.digest.clone(),
            expected: diff_id.to_owned(),
            found: digest,
        })
    }

    async fn prepare(
        &self,
        request: Request<PrepareSnapshotRequest>,
    ) -> Result<Vec<Mount>, ContainerdError> {
        let mut snapshots = SnapshotsClient::new(self.channel());
        Ok(answer(snapshots.prepare(request).await)?.mounts)
    }
}

fn preparation(key: &str, parent: &str) -> PrepareSnapshotRequest {
    PrepareSnapshotRequest {
        snapshotter: SNAPSHOTTER.to_owned(),
        key: key.to_owned(),
        parent: parent.to_owned(),
        ..PrepareSnapshotRequest::default()
    }
}
