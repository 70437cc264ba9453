//! Blobs in containerd's content store.

use std::collections::HashMap;
use std::time::Duration;

use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::{
    InfoRequest, ReadContentRequest, WriteAction, WriteContentRequest,
};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::client::{Client, ContainerdError, Lease, answer};
use super::image::{Descriptor, ImageError};

/// A pull may take so long in all (ecs-agent: image pull timeout).
const WRITE_DEADLINE: Duration = Duration::from_secs(2 * 3600);
/// Chunks on their way to containerd: bounds the memory that a pull takes.
const QUEUE: usize = 4;
/// Manifests and configurations are small; more than this is not one (4 MiB, as registries limit them).
pub(super) const LARGEST_DOCUMENT: usize = 4 << 20;

impl Client {
    pub(super) async fn has_blob(&self, digest: &str) -> Result<bool, ContainerdError> {
        let request = InfoRequest {
            digest: digest.to_owned(),
        };
        let info = ContentClient::new(self.channel())
            .info(self.request(request))
            .await;
        match answer(info) {
            Ok(_) => Ok(true),
            Err(error) if error.is(Code::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads a manifest, an index or a configuration.
    pub(super) async fn read_document(&self, digest: &str) -> Result<Vec<u8>, ImageError> {
        let request = ReadContentRequest {
            digest: digest.to_owned(),
            ..ReadContentRequest::default()
        };
        let read = ContentClient::new(self.channel())
            .read(self.request(request))
            .await;
        let mut chunks = answer(read)?;
        let mut document = Vec::new();
        while let Some(chunk) = chunks.message().await.map_err(ContainerdError::from)? {
            document.extend_from_slice(&chunk.data);
            if document.len() > LARGEST_DOCUMENT {
                return Err(ImageError::TooLarge(digest.to_owned()));
            }
        }
        Ok(document)
    }

    /// Writes a blob that arrives in chunks. containerd checks its size and digest at the end.
    pub(super) async fn write_blob(
        &self,
        lease: &Lease,
        blob: &Descriptor,
        labels: HashMap<String, String>,
        chunks: impl Stream<Item = Result<Vec<u8>, ImageError>>,
    ) -> Result<(), ImageError> {
        // No two writes share a reference: images have layers in common, and whoever is first wins
        // at the end. What an interrupted write leaves goes with its lease.
        let reference = format!("roadstead-{:016x}-{}", rand::random::<u64>(), blob.digest);
        let mut content = ContentClient::new(self.channel());
        let (send, receive) = mpsc::channel(QUEUE);
        let request = self.long(ReceiverStream::new(receive), WRITE_DEADLINE);
        let (fed, committed) = tokio::join!(
            feed(send, &reference, blob, labels, chunks),
            drain(content.write(Self::leased(request, lease)))
        );
        match committed {
            Ok(()) => fed,
            Err(error) if error.is(Code::AlreadyExists) => Ok(()),
            // What went wrong with the source says more than that the stream ended early.
            Err(error) => fed.and(Err(error.into())),
        }
    }
}

/// Sends the requests of one write. A receiver that is gone ends it: the answer says why.
async fn feed(
    send: mpsc::Sender<WriteContentRequest>,
    reference: &str,
    blob: &Descriptor,
    labels: HashMap<String, String>,
    chunks: impl Stream<Item = Result<Vec<u8>, ImageError>>,
) -> Result<(), ImageError> {
    let mut chunks = std::pin::pin!(chunks);
    let mut offset = 0;
    let message = |action: WriteAction, offset, data| WriteContentRequest {
        action: action.into(),
        r#ref: reference.to_owned(),
        total: blob.size,
        expected: blob.digest.clone(),
        offset,
        data,
        ..WriteContentRequest::default()
    };
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        let length = i64::try_from(chunk.len()).unwrap_or(i64::MAX);
        if send
            .send(message(WriteAction::Write, offset, chunk))
            .await
            .is_err()
        {
            return Ok(());
        }
        offset += length;
    }
    let mut commit = message(WriteAction::Commit, offset, Vec::new());
    commit.labels = labels;
    // As above: if nobody listens, the answer says why.
    let _ = send.send(commit).await;
    Ok(())
}

async fn drain<S>(answers: S) -> Result<(), ContainerdError>
where
    S: Future<
        Output = Result<
            tonic::Response<
                tonic::Streaming<containerd_client::services::v1::WriteContentResponse>,
            >,
            tonic::Status,
        >,
    >,
{
    let mut answers = answers.await?.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}
