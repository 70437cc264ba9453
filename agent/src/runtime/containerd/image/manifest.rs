//! Manifests and indexes of images, and the arithmetic of layers.

use std::collections::HashMap;

use containerd_client::types;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::super::snapshot::SNAPSHOTTER;
use super::ImageError;

/// What a registry is asked for, best first.
pub(super) const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// Points at a blob.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: i64,
    #[serde(default)]
    pub(crate) annotations: HashMap<String, String>,
    platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

impl Descriptor {
    pub(super) fn of(media_type: &str, document: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest(document),
            size: i64::try_from(document.len()).unwrap_or(i64::MAX),
            annotations: HashMap::new(),
            platform: None,
        }
    }
}

impl From<&Descriptor> for types::Descriptor {
    fn from(descriptor: &Descriptor) -> Self {
        Self {
            media_type: descriptor.media_type.clone(),
            digest: descriptor.digest.clone(),
            size: descriptor.size,
            ..Self::default()
        }
    }
}

/// The manifest of an image for one platform.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    #[serde(default = "oci_manifest")]
    pub(super) media_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

fn oci_manifest() -> String {
    ACCEPTED[0].to_owned()
}

/// A list of manifests, one for each platform.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    pub(super) manifests: Vec<Descriptor>,
}

/// What a name may lead to.
#[derive(Debug)]
pub(super) enum Document {
    Manifest(Manifest),
    Index(Index),
}

impl Document {
    pub(super) fn parse(digest: &str, bytes: &[u8]) -> Result<Self, ImageError> {
        let index = serde_json::from_slice(bytes).map(Self::Index);
        index
            .or_else(|_| serde_json::from_slice(bytes).map(Self::Manifest))
            .map_err(|cause| ImageError::Document {
                document: digest.to_owned(),
                cause,
            })
    }
}

impl Index {
    /// Returns the manifest for this machine; one without a platform fits any.
    pub(super) fn for_this_machine(&self) -> Result<&Descriptor, ImageError> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let fits =
            |platform: &Platform| platform.os == "linux" && platform.architecture == architecture;
        self.manifests
            .iter()
            .find(|manifest| manifest.platform.as_ref().is_some_and(fits))
            .or_else(|| self.manifests.iter().find(|m| m.platform.is_none()))
            .ok_or_else(|| ImageError::Platform(format!("linux/{architecture}")))
    }
}

impl Manifest {
    /// Returns the labels that keep configuration and layers while the manifest is there.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        let config = (
            "containerd.io/gc.ref.content.config".to_owned(),
            self.config.digest.clone(),
        );
        let layers = self.layers.iter().enumerate().map(|(index, layer)| {
            let key = format!("containerd.io/gc.ref.content.l.{index}");
            (key, layer.digest.clone())
        });
        std::iter::once(config).chain(layers).collect()
    }
}

/// Returns the labels that keep the unpacked layers while the configuration is there.
pub(super) fn config_labels(chain_id: &str) -> HashMap<String, String> {
    if chain_id.is_empty() {
        return HashMap::new();
    }
    let key = format!("containerd.io/gc.ref.snapshot.{SNAPSHOTTER}");
    HashMap::from([(key, chain_id.to_owned())])
}

/// Returns the names of the snapshots of an image's layers, lowest first (OCI image specification,
/// "Layer ChainID").
pub(super) fn chain_ids(diff_ids: &[String]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        ids.push(match ids.last() {
            None => diff_id.clone(),
            Some(below) => digest(format!("{below} {diff_id}").as_bytes()),
        });
    }
    ids
}

pub(super) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_id_covers_all_layers_below() {
        let ids = chain_ids(&["sha256:a".into(), "sha256:b".into()]);
        assert_eq!(ids, ["sha256:a".to_owned(), digest(b"sha256:a sha256:b")]);
        assert!(chain_ids(&[]).is_empty());
    }

    #[test]
    fn an_index_gives_the_manifest_for_this_machine() {
        let json = r#"{"manifests":[
            {"digest":"sha256:w","size":1,"platform":{"os":"windows","architecture":"amd64"}},
            {"digest":"sha256:a","size":1,"platform":{"os":"linux","architecture":"amd64"}},
            {"digest":"sha256:r","size":1,"platform":{"os":"linux","architecture":"arm64"}}]}"#;
        let Document::Index(index) = Document::parse("x", json.as_bytes()).unwrap() else {
            panic!("not an index");
        };
        let chosen = &index.for_this_machine().unwrap().digest;
        assert!(chosen == "sha256:a" || chosen == "sha256:r");
    }

    #[test]
    fn a_manifest_keeps_its_configuration_and_layers() {
        let json = r#"{"config":{"digest":"sha256:c","size":1},
            "layers":[{"digest":"sha256:l","size":2}]}"#;
        let Document::Manifest(manifest) = Document::parse("x", json.as_bytes()).unwrap() else {
            panic!("not a manifest");
        };
        let labels = manifest.labels();
        assert_eq!(labels["containerd.io/gc.ref.content.config"], "sha256:c");
        assert_eq!(labels["containerd.io/gc.ref.content.l.0"], "sha256:l");
    }
}
