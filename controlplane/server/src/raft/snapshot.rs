//! A snapshot as a file: a checksum, then meta data and state. Written beside the old one and
//! renamed over it, so that there is always one that is whole.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use openraft::{BasicNode, SnapshotMeta};
use roadstead_client::durable;
use serde::{Deserialize, Serialize};

use super::{MemberId, decode, encode};

const CHECKSUM_BYTES: usize = 4;

/// Why a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("cannot access snapshot {}", .path.display())]
    File {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("snapshot {} is damaged; restore this server's data directory from another member or a backup", .0.display())]
    Damaged(PathBuf),
    #[error("a snapshot cannot be decoded: it is of a newer version")]
    Decode(#[from] rmp_serde::decode::Error),
    #[error("a snapshot cannot be encoded")]
    Encode(#[from] rmp_serde::encode::Error),
}

/// A snapshot in memory: where it stands in the log, and the encoded state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredSnapshot {
    pub(crate) meta: SnapshotMeta<MemberId, BasicNode>,
    pub(crate) state: Vec<u8>,
}

fn path_in(directory: &Path) -> PathBuf {
    directory.join("snapshot")
}

/// Reads the snapshot in `directory`, if there is one.
pub(crate) fn load(directory: &Path) -> Result<Option<StoredSnapshot>, SnapshotError> {
    let path = path_in(directory);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(SnapshotError::File { path, cause }),
    };
    let Some((checksum, body)) = bytes.split_first_chunk::<CHECKSUM_BYTES>() else {
        return Err(SnapshotError::Damaged(path));
    };
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(SnapshotError::Damaged(path));
    }
    Ok(Some(decode(body)?))
}

/// Replaces the snapshot in `directory`; it is on disk when this returns.
pub(crate) fn store(directory: &Path, snapshot: &StoredSnapshot) -> Result<(), SnapshotError> {
    let path = path_in(directory);
    let body = encode(snapshot)?;
    let written = durable::replace_with(&path, |file| {
        file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
        file.write_all(&body)
    });
    written.map_err(|cause| SnapshotError::File {
        path: path.clone(),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> StoredSnapshot {
        StoredSnapshot {
            meta: SnapshotMeta::default(),
            state: b"state".to_vec(),
        }
    }

    #[test]
    fn a_stored_snapshot_is_read_back_and_replaces_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        assert!(load(directory.path()).unwrap().is_none());
        store(directory.path(), &sample()).unwrap();
        store(
            directory.path(),
            &StoredSnapshot {
                state: b"newer".to_vec(),
                ..sample()
            },
        )
        .unwrap();
        assert_eq!(load(directory.path()).unwrap().unwrap().state, b"newer");
    }

    #[test]
    fn a_damaged_snapshot_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        store(directory.path(), &sample()).unwrap();
        let path = path_in(directory.path());
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = load(directory.path()).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");
    }
}
