//! The last known good table on disk: what a load balancer serves when it starts without the
//! control plane. It has the keys of certificates in it; `durable` lets nobody but the owner read it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use prost::Message;
use roadstead_client::durable;
use roadstead_proto::lb::Table;
use tokio::sync::watch;
use tracing::warn;

const NAME: &str = "table.pb";
/// Between two attempts at a disk that does not take the table.
const RETRY: Duration = Duration::from_secs(1);

/// Why the table on disk is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error("cannot read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{} is not a routing table", .path.display())]
    Decode {
        path: PathBuf,
        #[source]
        cause: prost::DecodeError,
    },
}

/// Returns the table that was saved last; `None` if none was.
pub(crate) fn load(data_dir: &Path) -> Result<Option<Table>, DiskError> {
    let path = data_dir.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(DiskError::Read { path, cause }),
    };
    match Table::decode(bytes.as_slice()) {
        Ok(table) => Ok(Some(table)),
        Err(cause) => Err(DiskError::Decode { path, cause }),
    }
}

/// A table in force. They are numbered in their order in this process: revisions are another control plane's to choose.
#[derive(Debug, Clone, Default)]
pub(crate) struct InForce {
    pub(crate) number: u64,
    pub(crate) table: Arc<Table>,
}

/// Saves the newest table whenever there is one, and tells `saved` its number; ends when nobody can send another.
///
/// Beside the control loop, because no report shall wait for a disk.
pub(crate) async fn keep_saved(
    data_dir: PathBuf,
    mut newest: watch::Receiver<InForce>,
    saved: watch::Sender<u64>,
) {
    while newest.changed().await.is_ok() {
        let InForce { number, table } = newest.borrow_and_update().clone();
        let path = data_dir.join(NAME);
        let replaced =
            tokio::task::spawn_blocking(move || durable::replace(&path, &table.encode_to_vec()));
        match replaced.await {
            Ok(Ok(())) => {
                saved.send_replace(number);
            }
            Ok(Err(error)) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot save the routing table: drains last until their deadline; tried again in a moment"
                );
                tokio::time::sleep(RETRY).await;
                newest.mark_changed();
            }
            // The process ends.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_that_was_saved_last_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        assert!(load(directory.path()).unwrap().is_none());
        for revision in 1..=2 {
            let table = Table {
                revision,
                ..Table::default()
            };
            durable::replace(&directory.path().join(NAME), &table.encode_to_vec()).unwrap();
        }
        assert_eq!(load(directory.path()).unwrap().unwrap().revision, 2);
    }

    #[tokio::test]
    async fn only_the_owner_may_read_the_table_because_it_has_keys_in_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (newest, to_save) = watch::channel(InForce::default());
        let (saver, mut saved) = watch::channel(0);
        tokio::spawn(keep_saved(directory.path().to_owned(), to_save, saver));
        newest.send_replace(InForce {
            number: 1,
            table: Arc::new(Table::default()),
        });
        saved.wait_for(|number| *number == 1).await.unwrap();
        let file = fs::metadata(directory.path().join(NAME)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_broken_file_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(NAME), [0xff; 7]).unwrap();
        let error = load(directory.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("table.pb is not a routing table")
        );
    }
}
