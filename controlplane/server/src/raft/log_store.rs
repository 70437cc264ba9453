//! The log on disk, as openraft asks for it. See docs/design/0003.
//!
//! Every change is one transaction with one fsync, made off the runtime: nothing else waits for the
//! disk. Writes that come together share a transaction because `proposer` makes one entry of them.

mod file;

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::{Arc, Weak};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    Entry, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote,
};
use tokio::task::spawn_blocking;

use super::{MemberId, TypeConfig, decode, encode};
use file::{Change, Entries, LogFile};

pub(crate) use file::LogError;

const VOTE: &str = "vote";
const PURGED: &str = "purged";

/// The log. Clones share one file.
#[derive(Debug, Clone)]
pub(crate) struct LogStore(Arc<LogFile>);

impl LogStore {
    /// Opens the log in `directory`, or makes an empty one.
    pub(crate) fn open(directory: &Path) -> Result<Self, LogError> {
        Ok(Self(Arc::new(LogFile::open(directory)?)))
    }

    fn entries(&self, range: impl RangeBounds<u64>) -> Result<Vec<Entry<TypeConfig>>, LogError> {
        let entries = self.0.entries(range)?;
        entries.values().map(|bytes| Ok(decode(bytes)?)).collect()
    }

    /// Returns a view of where the log ends, that does not hold the file open when raft has stopped.
    pub(super) fn end(&self) -> LogEnd {
        LogEnd(Arc::downgrade(&self.0))
    }

    fn state(&self) -> Result<LogState<TypeConfig>, LogError> {
        let purged: Option<LogId<MemberId>> = self.0.cell(PURGED)?;
        let last = self.0.last()?;
        let last = last
            .map(|bytes| decode::<Entry<TypeConfig>>(&bytes))
            .transpose()?;
        let last = last.map(|entry| entry.log_id);
        Ok(LogState {
            last_purged_log_id: purged,
            last_log_id: last.or(purged),
        })
    }

    /// Makes the changes in one transaction; they are on disk when this returns.
    async fn commit(&self, changes: Vec<Change>) -> Result<(), LogError> {
        let file = Arc::clone(&self.0);
        let done = spawn_blocking(move || file.commit(&changes)).await;
        done.expect("writing the log does not panic")
    }
}

/// Tells where the log ends.
#[derive(Debug, Clone)]
pub(super) struct LogEnd(Weak<LogFile>);

impl LogEnd {
    /// Returns the id of the last entry; fails also when the log is closed.
    pub(super) fn last_log_id(&self) -> Result<Option<LogId<MemberId>>, LogError> {
        let file = self.0.upgrade().ok_or(LogError::Closed)?;
        Ok(LogStore(file).state()?.last_log_id)
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
        self.state()
            .map_err(|error| StorageIOError::read_logs(&error).into())
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<MemberId>) -> Result<(), StorageError<MemberId>> {
        let value = encode(vote).map_err(|error| StorageIOError::write_vote(&error))?;
        let written = self.commit(vec![Change::Set { cell: VOTE, value }]).await;
        written.map_err(|error| StorageIOError::write_vote(&error).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<MemberId>>, StorageError<MemberId>> {
        self.0
            .cell(VOTE)
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
        let encoded: Result<Entries, LogError> = entries
            .into_iter()
            .map(|entry| Ok((entry.log_id.index, encode(&entry)?)))
            .collect();
        let encoded = encoded.map_err(|error| StorageIOError::write_logs(&error))?;
        let written = self.commit(vec![Change::Append(encoded)]).await;
        written.map_err(|error| StorageIOError::write_logs(&error))?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<MemberId>) -> Result<(), StorageError<MemberId>> {
        let dropped = self
            .commit(vec![Change::Truncate { from: log_id.index }])
            .await;
        dropped.map_err(|error| StorageIOError::write_logs(&error).into())
    }

    async fn purge(&mut self, log_id: LogId<MemberId>) -> Result<(), StorageError<MemberId>> {
        let value = encode(&log_id).map_err(|error| StorageIOError::write_logs(&error))?;
        let mark = Change::Set {
            cell: PURGED,
            value,
        };
        let dropped = self
            .commit(vec![
                mark,
                Change::Purge {
                    through: log_id.index,
                },
            ])
            .await;
        dropped.map_err(|error| StorageIOError::write_logs(&error).into())
    }
}
