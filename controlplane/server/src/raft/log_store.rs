//! The log on disk: a table of entries and a few cells in one redb file.
//!
//! Every write is one transaction with one fsync; entries that come together share it. redb cuts
//! a torn tail by itself and refuses a file that is damaged inside. See docs/design/0003.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    Entry, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote,
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{MemberId, TypeConfig, decode, encode};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const CELLS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("cells");
const VOTE: &str = "vote";
const PURGED: &str = "purged";
/// The log is read once at start and appended to from then on: a small cache is enough.
const CACHE_BYTES: usize = 2 << 20;

/// Why the log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("the log file fails")]
    File(#[from] redb::Error),
    #[error("a log entry cannot be read: the file is damaged or of a newer version")]
    Decode(#[from] rmp_serde::decode::Error),
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

/// The log. Clones share one file.
#[derive(Debug, Clone)]
pub(crate) struct LogStore {
    database: Arc<Database>,
}

impl LogStore {
    /// Opens the log in `directory`, or makes an empty one.
    pub(crate) fn open(directory: &Path) -> Result<Self, LogError> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(directory.join("log.redb"))?;
        let write = database.begin_write()?;
        write.open_table(ENTRIES)?;
        write.open_table(CELLS)?;
        write.commit()?;
        Ok(Self {
            database: Arc::new(database),
        })
    }

    fn read_cell<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LogError> {
        let cells = self.database.begin_read()?.open_table(CELLS)?;
        let Some(bytes) = cells.get(name)? else {
            return Ok(None);
        };
        Ok(Some(decode(bytes.value())?))
    }

    fn write_cell<T: Serialize>(&self, name: &str, value: &T) -> Result<(), LogError> {
        let bytes = encode(value)?;
        let write = self.database.begin_write()?;
        write.open_table(CELLS)?.insert(name, bytes.as_slice())?;
        Ok(write.commit()?)
    }

    fn last_entry(&self) -> Result<Option<Entry<TypeConfig>>, LogError> {
        let entries = self.database.begin_read()?.open_table(ENTRIES)?;
        let last = entries.last()?;
        last.map(|(_, bytes)| Ok(decode(bytes.value())?))
            .transpose()
    }

    fn entries(&self, range: impl RangeBounds<u64>) -> Result<Vec<Entry<TypeConfig>>, LogError> {
        let entries = self.database.begin_read()?.open_table(ENTRIES)?;
        entries
            .range(range)?
            .map(|row| Ok(decode(row?.1.value())?))
            .collect()
    }

    fn insert(&self, new: &[(u64, Vec<u8>)]) -> Result<(), LogError> {
        let write = self.database.begin_write()?;
        {
            let mut entries = write.open_table(ENTRIES)?;
            for (index, bytes) in new {
                entries.insert(index, bytes.as_slice())?;
            }
        }
        Ok(write.commit()?)
    }

    fn remove(
        &self,
        range: impl RangeBounds<u64>,
        purged: Option<LogId<MemberId>>,
    ) -> Result<(), LogError> {
        let write = self.database.begin_write()?;
        write.open_table(ENTRIES)?.retain_in(range, |_, _| false)?;
        if let Some(purged) = purged {
            write
                .open_table(CELLS)?
                .insert(PURGED, encode(&purged)?.as_slice())?;
        }
        Ok(write.commit()?)
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<MemberId>> {
        self.entries(range)
            .map_err(|error| StorageIOError::read_logs(&error).into())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError<MemberId>> {
        let read = || {
            let purged: Option<LogId<MemberId>> = self.read_cell(PURGED)?;
            let last = self.last_entry()?.map(|entry| entry.log_id);
            Ok(LogState {
                last_purged_log_id: purged,
                last_log_id: last.or(purged),
            })
        };
        read().map_err(|error: LogError| StorageIOError::read_logs(&error).into())
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<MemberId>) -> Result<(), StorageError<MemberId>> {
        self.write_cell(VOTE, vote)
            .map_err(|error| StorageIOError::write_vote(&error).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<MemberId>>, StorageError<MemberId>> {
        self.read_cell(VOTE)
            .map_err(|error| StorageIOError::read_vote(&error).into())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError<MemberId>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encoded: Result<Vec<_>, LogError> = entries
            .into_iter()
            .map(|entry| Ok((entry.log_id.index, encode(&entry)?)))
            .collect();
        let written = encoded.and_then(|encoded| self.insert(&encoded));
        written.map_err(|error| StorageIOError::write_logs(&error))?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<MemberId>) -> Result<(), StorageError<MemberId>> {
        let removed = self.remove(log_id.index.., None);
        removed.map_err(|error| StorageIOError::write_logs(&error).into())
    }

    async fn purge(&mut self, log_id: LogId<MemberId>) -> Result<(), StorageError<MemberId>> {
        let removed = self.remove(..=log_id.index, Some(log_id));
        removed.map_err(|error| StorageIOError::write_logs(&error).into())
    }
}
