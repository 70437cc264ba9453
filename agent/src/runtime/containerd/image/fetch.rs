//! Fetches an image from its registry into containerd, and finds what is there already.

use std::collections::HashMap;
use std::sync::Arc;

use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{
    CreateImageRequest, GetImageRequest, Image, UpdateImageRequest,
};
use containerd_client::types;
use futures_util::stream::{self, Stream, TryStreamExt};
use oci_spec::image::ImageConfiguration;
use prost_types::FieldMask;
use tonic::Code;

use super::super::client::{ContainerdError, Lease, answer};
use super::super::content::LARGEST_DOCUMENT;
use super::manifest::{Descriptor, Document, Manifest, chain_ids, config_labels};
use super::registry::Registry;
use super::{ImageError, ImageName, Images, Ready};

/// Marks images that came from an archive: no registry is asked for them.
const IMPORTED: &str = "roadstead/imported";
/// Layers that are fetched at once, as Docker does it.
const CONCURRENT_LAYERS: usize = 3;

/// An image in containerd's store.
pub(super) struct Local {
    /// Of the manifest for this platform.
    pub(super) digest: String,
    pub(super) imported: bool,
}

impl Images {
    /// Finds an image by its complete name.
    pub(super) async fn local(&self, name: &ImageName) -> Result<Option<Local>, ImageError> {
        let request = GetImageRequest {
            name: name.to_string(),
        };
        let mut images = ImagesClient::new(self.client.channel());
        let image = match answer(images.get(self.client.request(request)).await) {
            Ok(found) => found.image.unwrap_or_default(),
            Err(error) if error.is(Code::NotFound) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Local {
            digest: image.target.unwrap_or_default().digest,
            imported: image.labels.contains_key(IMPORTED),
        }))
    }

    /// Asks the registry, and fetches what is missing.
    pub(super) async fn fetch(&self, name: &ImageName) -> Result<Arc<Ready>, ImageError> {
        let registry = Registry::of(name, self.credentials.as_deref())?;
        let (mut bytes, mut digest) = registry.resolve().await?;
        let manifest = match Document::parse(&digest, &bytes)? {
            Document::Manifest(manifest) => manifest,
            Document::Index(index) => {
                let chosen = index.for_this_machine()?;
                (bytes, digest) = registry.choose(&chosen.digest).await?;
                match Document::parse(&digest, &bytes)? {
                    Document::Manifest(manifest) => manifest,
                    Document::Index(_) => return Err(ImageError::Platform(digest)),
                }
            }
        };
        let lease = self.client.begin_lease().await?;
        let fetched = self
            .fetch_parts(name, &registry, &manifest, &bytes, &lease)
            .await;
        self.client.end_lease(lease).await;
        fetched
    }

    async fn fetch_parts(
        &self,
        name: &ImageName,
        registry: &Registry,
        manifest: &Manifest,
        bytes: &[u8],
        lease: &Lease,
    ) -> Result<Arc<Ready>, ImageError> {
        stream::iter(manifest.layers.iter().map(Ok))
            .try_for_each_concurrent(CONCURRENT_LAYERS, |layer| async move {
                if self.client.has_blob(&layer.digest).await? {
                    return Ok(());
                }
                let chunks = registry.blob(layer).await?;
                let labels = HashMap::new();
                self.client.write_blob(lease, layer, labels, chunks).await
            })
            .await?;
        let config = if self.client.has_blob(&manifest.config.digest).await? {
            self.client.read_document(&manifest.config.digest).await?
        } else {
            let chunks = registry.blob(&manifest.config).await?;
            document(&manifest.config.digest, chunks).await?
        };
        self.store(name, manifest, bytes, &config, false, lease)
            .await
    }

    /// Unpacks an image whose layers are in the content store, and gives it its name.
    pub(super) async fn store(
        &self,
        name: &ImageName,
        manifest: &Manifest,
        bytes: &[u8],
        config: &[u8],
        imported: bool,
        lease: &Lease,
    ) -> Result<Arc<Ready>, ImageError> {
        let target = Descriptor::of(&manifest.media_type, bytes);
        let ready = ready(&target.digest, manifest, config)?;
        self.unpack(manifest, &ready, lease).await?;
        let once = |bytes: &[u8]| stream::iter([Ok(bytes.to_vec())]);
        let labels = config_labels(&ready.chain_id);
        self.client
            .write_blob(lease, &manifest.config, labels, once(config))
            .await?;
        self.client
            .write_blob(lease, &target, manifest.labels(), once(bytes))
            .await?;
        self.name(name, &target, imported).await?;
        Ok(Arc::new(ready))
    }

    /// Returns an image that is here by its manifest's digest, unpacked if it is not yet.
    pub(super) async fn unpacked(&self, digest: &str) -> Result<Arc<Ready>, ImageError> {
        let ready = self.ready(digest).await?;
        if !ready.chain_id.is_empty() && !self.client.has_snapshot(&ready.chain_id).await? {
            let lease = self.client.begin_lease().await?;
            let unpacked = match self.manifest(digest).await {
                Ok(manifest) => self.unpack(&manifest, &ready, &lease).await,
                Err(error) => Err(error),
            };
            self.client.end_lease(lease).await;
            unpacked?;
        }
        Ok(ready)
    }

    /// Reads an image from the content store.
    pub(super) async fn read(&self, digest: &str) -> Result<Ready, ImageError> {
        let manifest = self.manifest(digest).await?;
        let config = self.client.read_document(&manifest.config.digest).await?;
        ready(digest, &manifest, &config)
    }

    async fn manifest(&self, digest: &str) -> Result<Manifest, ImageError> {
        let bytes = self.client.read_document(digest).await?;
        match Document::parse(digest, &bytes)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(ImageError::Platform(digest.to_owned())),
        }
    }

    async fn unpack(
        &self,
        manifest: &Manifest,
        ready: &Ready,
        lease: &Lease,
    ) -> Result<(), ImageError> {
        let diff_ids = ready.config.rootfs().diff_ids();
        let mut parent = String::new();
        let layers = manifest.layers.iter().zip(diff_ids);
        for ((layer, diff_id), name) in layers.zip(chain_ids(diff_ids)) {
            self.client
                .unpack_layer(lease, layer, diff_id, &parent, &name)
                .await?;
            parent = name;
        }
        Ok(())
    }

    async fn name(
        &self,
        name: &ImageName,
        target: &Descriptor,
        imported: bool,
    ) -> Result<(), ContainerdError> {
        let label = imported.then(|| (IMPORTED.to_owned(), "true".to_owned()));
        let image = Image {
            name: name.to_string(),
            labels: label.into_iter().collect(),
            target: Some(types::Descriptor::from(target)),
            ..Image::default()
        };
        let mut images = ImagesClient::new(self.client.channel());
        let create = CreateImageRequest {
            image: Some(image.clone()),
            ..CreateImageRequest::default()
        };
        match answer(images.create(self.client.request(create)).await) {
            Err(error) if error.is(Code::AlreadyExists) => {}
            other => return other.map(drop),
        }
        let update = UpdateImageRequest {
            image: Some(image),
            update_mask: Some(FieldMask {
                paths: vec!["target".to_owned(), "labels".to_owned()],
            }),
            ..UpdateImageRequest::default()
        };
        answer(images.update(self.client.request(update)).await).map(drop)
    }
}

/// Reads a document that a registry sends, which may say anything about its size.
async fn document(
    digest: &str,
    chunks: impl Stream<Item = Result<Vec<u8>, ImageError>>,
) -> Result<Vec<u8>, ImageError> {
    let append = |mut document: Vec<u8>, chunk: Vec<u8>| async move {
        document.extend_from_slice(&chunk);
        if document.len() > LARGEST_DOCUMENT {
            return Err(ImageError::TooLarge(digest.to_owned()));
        }
        Ok(document)
    };
    chunks.try_fold(Vec::new(), append).await
}

fn ready(digest: &str, manifest: &Manifest, config: &[u8]) -> Result<Ready, ImageError> {
    let config: ImageConfiguration =
        serde_json::from_slice(config).map_err(|cause| ImageError::Document {
            document: manifest.config.digest.clone(),
            cause,
        })?;
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != manifest.layers.len() {
        return Err(ImageError::Layers {
            layers: manifest.layers.len(),
            diff_ids: diff_ids.len(),
        });
    }
    Ok(Ready {
        digest: digest.to_owned(),
        chain_id: chain_ids(diff_ids).pop().unwrap_or_default(),
        config,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_document_without_an_end_is_refused() {
        let endless = stream::repeat_with(|| Ok(vec![b' '; 1 << 20]));
        let refused = document("sha256:x", endless).await.unwrap_err();
        assert_eq!(refused.to_string(), "document sha256:x is too large");
        let chunks = stream::iter([Ok(b"{".to_vec()), Ok(b"}".to_vec())]);
        assert_eq!(document("sha256:x", chunks).await.unwrap(), b"{}");
    }
}
