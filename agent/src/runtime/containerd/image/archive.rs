//! Imports images from an archive: a tar file with an OCI image layout in it.
//!
//! The archive is read twice: first for where each file lies, then blob by blob. So its files may come
//! in any order, and none of them has to fit into memory.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use futures_util::stream::{self, Stream};

use super::super::client::Lease;
use super::manifest::{Descriptor, Document, Index, Manifest};
use super::{ImageError, ImageName, Images};

const CHUNK: usize = 256 << 10;
const LARGEST_DOCUMENT: u64 = 4 << 20;
/// Where builders write an image's name, the fuller one first.
const NAMES: [&str; 2] = [
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
];

/// Where a file lies in the archive.
#[derive(Debug, Clone, Copy)]
struct Extent {
    offset: u64,
    size: u64,
}

#[derive(Debug)]
struct Archive {
    path: PathBuf,
    files: BTreeMap<String, Extent>,
}

impl Images {
    /// Imports every image that the archive names, and returns their complete names.
    ///
    /// # Errors
    /// Fails when the archive is not an OCI layout, lacks a blob, or containerd refuses one.
    pub async fn import(&self, path: &Path) -> Result<Vec<String>, ImageError> {
        let archive = Archive::open(path)?;
        let index = archive.document("index.json")?;
        let index: Index =
            serde_json::from_slice(&index).map_err(|cause| ImageError::Document {
                document: "index.json".to_owned(),
                cause,
            })?;
        let mut names = Vec::new();
        for descriptor in &index.manifests {
            let name = NAMES
                .iter()
                .find_map(|key| descriptor.annotations.get(*key));
            let Some(name) = name else { continue };
            let name: ImageName = name.parse()?;
            let lease = self.client.begin_lease().await?;
            let imported = self.import_one(&archive, descriptor, &name, &lease).await;
            self.client.end_lease(lease).await;
            imported?;
            names.push(name.to_string());
        }
        if names.is_empty() {
            return Err(archive.lacks(format!("image with an annotation {}", NAMES[1])));
        }
        Ok(names)
    }

    async fn import_one(
        &self,
        archive: &Archive,
        descriptor: &Descriptor,
        name: &ImageName,
        lease: &Lease,
    ) -> Result<(), ImageError> {
        let (manifest, bytes) = archive.manifest(&descriptor.digest)?;
        for layer in &manifest.layers {
            if !self.client.has_blob(&layer.digest).await? {
                let chunks = archive.chunks(&layer.digest)?;
                self.client
                    .write_blob(lease, layer, HashMap::new(), chunks)
                    .await?;
            }
        }
        let config = archive.blob(&manifest.config.digest)?;
        self.store(name, &manifest, &bytes, &config, true, lease)
            .await?;
        Ok(())
    }
}

impl Archive {
    fn open(path: &Path) -> Result<Self, ImageError> {
        let files = index(path).map_err(|cause| ImageError::Archive {
            path: path.to_owned(),
            cause,
        })?;
        Ok(Self {
            path: path.to_owned(),
            files,
        })
    }

    fn manifest(&self, digest: &str) -> Result<(Manifest, Vec<u8>), ImageError> {
        let bytes = self.blob(digest)?;
        match Document::parse(digest, &bytes)? {
            Document::Manifest(manifest) => Ok((manifest, bytes)),
            Document::Index(index) => {
                let chosen = &index.for_this_machine()?.digest;
                let bytes = self.blob(chosen)?;
                match Document::parse(chosen, &bytes)? {
                    Document::Manifest(manifest) => Ok((manifest, bytes)),
                    Document::Index(_) => Err(ImageError::Platform(chosen.clone())),
                }
            }
        }
    }

    fn blob(&self, digest: &str) -> Result<Vec<u8>, ImageError> {
        self.document(&blob_path(digest))
    }

    fn document(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut file = self.seek(name)?.take(LARGEST_DOCUMENT + 1);
        let mut document = Vec::new();
        file.read_to_end(&mut document)
            .map_err(|cause| self.broken(cause))?;
        if document.len() as u64 > LARGEST_DOCUMENT {
            return Err(ImageError::TooLarge(name.to_owned()));
        }
        Ok(document)
    }

    /// Reads a blob piece by piece. The reads block, and briefly: the file is a local one.
    fn chunks(
        &self,
        digest: &str,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, ImageError>>, ImageError> {
        let mut file = self.seek(&blob_path(digest))?;
        let next = move || {
            let mut chunk = vec![0; CHUNK];
            match file.read(&mut chunk) {
                Ok(0) => None,
                Ok(length) => {
                    chunk.truncate(length);
                    Some(Ok(chunk))
                }
                Err(cause) => Some(Err(self.broken(cause))),
            }
        };
        Ok(stream::iter(std::iter::from_fn(next)))
    }

    fn seek(&self, name: &str) -> Result<io::Take<File>, ImageError> {
        let extent = self.files.get(name).copied();
        let extent = extent.ok_or_else(|| self.lacks(name.to_owned()))?;
        let mut file = File::open(&self.path).map_err(|cause| self.broken(cause))?;
        file.seek(SeekFrom::Start(extent.offset))
            .map_err(|cause| self.broken(cause))?;
        Ok(file.take(extent.size))
    }

    fn lacks(&self, what: String) -> ImageError {
        ImageError::Incomplete {
            path: self.path.clone(),
            what,
        }
    }

    fn broken(&self, cause: io::Error) -> ImageError {
        ImageError::Archive {
            path: self.path.clone(),
            cause,
        }
    }
}

fn index(path: &Path) -> io::Result<BTreeMap<String, Extent>> {
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(File::open(path)?);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let name = name.trim_start_matches("./").to_owned();
        let extent = Extent {
            offset: entry.raw_file_position(),
            size: entry.size(),
        };
        files.insert(name, extent);
    }
    Ok(files)
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}
