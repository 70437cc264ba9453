//! The log's file: a table of entries and a few cells, in redb.
//!
//! Every commit is one transaction with one fsync. redb undoes a torn tail by itself and refuses a
//! file that is damaged inside.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;

use crate::raft::decode;

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const CELLS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("cells");
/// The log is read once at start and appended to from then on: a small cache is enough.
const CACHE_BYTES: usize = 2 << 20;

/// Why the log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("the log file fails")]
    File(#[from] redb::Error),
    #[error("a log entry cannot be read: the file is damaged or of a newer version")]
    Decode(#[from] rmp_serde::decode::Error),
    #[error("the log is closed")]
    Closed,
    #[error("a log entry cannot be written")]
    Encode(#[from] rmp_serde::encode::Error),
}

macro_rules! from_redb {
    ($($error:ty),+) => {$(
        impl From<$error> for LogError {
            fn from(error: $error) -> Self {
                Self::File(error.into())
            }
        }
    )+};
}

from_redb!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);

/// Encoded entries by their index.
pub(super) type Entries = BTreeMap<u64, Vec<u8>>;

/// One change of the file; several become one transaction.
#[derive(Debug)]
pub(super) enum Change {
    Append(Entries),
    /// Drops this entry and all later ones.
    Truncate {
        from: u64,
    },
    /// Drops this entry and all earlier ones.
    Purge {
        through: u64,
    },
    Set {
        cell: &'static str,
        value: Vec<u8>,
    },
}

/// The open file.
#[derive(Debug)]
pub(super) struct LogFile(Database);

impl LogFile {
    /// Opens the log in `directory`, or makes an empty one.
    pub(super) fn open(directory: &Path) -> Result<Self, LogError> {
        let path = directory.join("log.redb");
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path)?;
        let write = database.begin_write()?;
        write.open_table(ENTRIES)?;
        write.open_table(CELLS)?;
        write.commit()?;
        Ok(Self(database))
    }

    pub(super) fn cell<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LogError> {
        let cells = self.0.begin_read()?.open_table(CELLS)?;
        let Some(bytes) = cells.get(name)? else {
            return Ok(None);
        };
        Ok(Some(decode(bytes.value())?))
    }

    pub(super) fn last(&self) -> Result<Option<Vec<u8>>, LogError> {
        let entries = self.0.begin_read()?.open_table(ENTRIES)?;
        let last = entries.last()?;
        Ok(last.map(|(_, bytes)| bytes.value().to_vec()))
    }

    pub(super) fn entries(&self, range: impl RangeBounds<u64>) -> Result<Entries, LogError> {
        let entries = self.0.begin_read()?.open_table(ENTRIES)?;
        let read = |row: Result<(redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &[u8]>), _>| {
            let (index, bytes) = row?;
            Ok((index.value(), bytes.value().to_vec()))
        };
        entries.range(range)?.map(read).collect()
    }

    /// Makes all changes in order, or none; they are on disk when this returns.
    pub(super) fn commit(&self, changes: &[Change]) -> Result<(), LogError> {
        let write = self.0.begin_write()?;
        {
            let mut entries = write.open_table(ENTRIES)?;
            let mut cells = write.open_table(CELLS)?;
            for change in changes {
                match change {
                    Change::Append(new) => {
                        for (index, bytes) in new {
                            entries.insert(index, bytes.as_slice())?;
                        }
                    }
                    Change::Truncate { from } => entries.retain_in(*from.., |_, _| false)?,
                    Change::Purge { through } => entries.retain_in(..=*through, |_, _| false)?,
                    Change::Set { cell, value } => {
                        cells.insert(cell, value.as_slice())?;
                    }
                }
            }
        }
        Ok(write.commit()?)
    }
}
