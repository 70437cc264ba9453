//! Makes OCI images from files, without any tool, registry or network.
//!
//! The same input gives the same bytes: entries keep their order, times are the epoch, owners are root. An image
//! becomes an archive that `ctl image import` takes, or its parts are pushed to a registry.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What a container of the image runs unless its task definition says otherwise.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub entry_point: Vec<String>,
    pub command: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
}

/// An image with one layer.
#[derive(Debug)]
pub struct Image {
    /// The full name, with its tag: `sample:v1`.
    pub name: String,
    /// The layer as gzip.
    pub layer: Vec<u8>,
    /// The config as JSON.
    pub config: Vec<u8>,
}

impl Image {
    /// Returns the image whose root file system is what `root` unpacks to.
    ///
    /// # Errors
    /// Fails when compressing does.
    pub fn new(name: &str, root: &[u8], config: &Config) -> io::Result<Self> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(root)?;
        Ok(Self {
            name: name.to_owned(),
            layer: gzip.finish()?,
            config: config_json(config, &digest(root)).to_string().into_bytes(),
        })
    }

    /// Returns an OCI layout as tar: what `ctl image import` takes.
    ///
    /// # Errors
    /// Fails when an entry cannot be written.
    pub fn archive(&self) -> io::Result<Vec<u8>> {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &self.config),
            "layers": [descriptor(LAYER, &self.layer)],
        })
        .to_string();
        let mut listed = descriptor(MANIFEST, manifest.as_bytes());
        listed["annotations"] = json!({"org.opencontainers.image.ref.name": self.name});
        let index =
            json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]}).to_string();

        let mut archive = tar::Builder::new(Vec::new());
        append(
            &mut archive,
            "oci-layout",
            0o644,
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        append(&mut archive, "index.json", 0o644, index.as_bytes())?;
        for blob in [manifest.as_bytes(), &self.config, &self.layer] {
            append(
                &mut archive,
                format!("blobs/sha256/{}", hex(blob)),
                0o644,
                blob,
            )?;
        }
        archive.into_inner()
    }
}

/// Returns a root file system as tar: each file with its absolute path, mode and contents.
///
/// # Errors
/// Fails when an entry cannot be written.
pub fn root(files: &[(&Path, u32, &[u8])]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, mode, contents) in files {
        let relative = path.strip_prefix("/").unwrap_or(path);
        append(&mut archive, relative, *mode, contents)?;
    }
    archive.into_inner()
}

/// Returns the architecture of this machine as images name it.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn config_json(config: &Config, diff_id: &str) -> Value {
    json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": config.entry_point,
            "Cmd": config.command,
            "Env": config.environment,
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    })
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: impl AsRef<Path>,
    mode: u32,
    contents: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(contents.len() as u64);
    archive.append_data(&mut header, path, contents)
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(blob), "size": blob.len()})
}

fn digest(blob: &[u8]) -> String {
    format!("sha256:{}", hex(blob))
}

fn hex(blob: &[u8]) -> String {
    Sha256::digest(blob)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;

    fn hello() -> Image {
        let root = root(&[(Path::new("/hello"), 0o755, b"#!/bin/sh\n".as_slice())]).unwrap();
        let config = Config {
            entry_point: vec!["/hello".to_owned()],
            ..Config::default()
        };
        Image::new("hello:v1", &root, &config).unwrap()
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        assert_eq!(hello().archive().unwrap(), hello().archive().unwrap());
    }

    #[test]
    fn every_blob_is_found_under_its_digest_and_the_index_names_the_image() {
        let archive = hello().archive().unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            files.insert(path, contents);
        }
        let blob = |descriptor: &Value| {
            let path = descriptor["digest"].as_str().unwrap().replace(':', "/");
            let found = &files[&format!("blobs/{path}")];
            assert_eq!(descriptor["size"], found.len());
            assert_eq!(descriptor["digest"], digest(found));
            found.clone()
        };
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let listed = &index["manifests"][0];
        assert_eq!(
            listed["annotations"]["org.opencontainers.image.ref.name"],
            "hello:v1"
        );
        let manifest: Value = serde_json::from_slice(&blob(listed)).unwrap();
        blob(&manifest["layers"][0]);
        let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        assert_eq!(config["config"]["Entrypoint"], json!(["/hello"]));
    }
}
