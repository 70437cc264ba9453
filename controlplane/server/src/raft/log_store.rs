//! The log on disk, as openraft asks for it. See docs/design/0003.
//!
//! An entry can be read as soon as it is appended; that it is on disk is told later, by the callback,
//! so that entries that come together share an fsync.

mod file;
mod writer;

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    Entry, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote,
};

use super::{MemberId, TypeConfig, decode, encode};
use file::{Change, Entries, LogFile};
use writer::{Done, Writer};

pub(crate) use file::LogError;

const VOTE: &str = "vote";
const PURGED: &str = "purged";

/// The log. Clones share one file.
#[derive(Clone)]
pub(crate) struct LogStore {
    file: Arc<LogFile>,
    writer: Arc<Writer>,
    /// Appended and not yet on disk.
    pending: Arc<Mutex<Entries>>,
}

impl LogStore {
    /// Opens the log in `directory`, or makes an empty one.
    pub(crate) fn open(directory: &Path) -> Result<Self, LogError> {
        let file = Arc::new(LogFile::open(directory)?);
        let pending = Arc::default();
        let writer =
            Writer::start(Arc::clone(&file), Arc::clone(&pending)).map_err(redb::Error::Io)?;
        Ok(Self {
            file,
            writer: Arc::new(writer),
            pending,
        })
    }

    fn pending(&self) -> MutexGuard<'_, Entries> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(
        &self,
        range: impl RangeBounds<u64> + Clone,
    ) -> Result<Vec<Entry<TypeConfig>>, LogError> {
        // First what waits, then the file: an entry on its way from one to the other is seen twice,
        // never not at all.
        let pending: Entries = self
            .pending()
            .range(range.clone())
            .map(|(index, bytes)| (*index, Arc::clone(bytes)))
            .collect();
        let mut entries = self.file.entries(range)?;
        entries.extend(pending);
        entries.values().map(|bytes| Ok(decode(bytes)?)).collect()
    }

    fn state(&self) -> Result<LogState<TypeConfig>, LogError> {
        let purged: Option<LogId<MemberId>> = self.file.cell(PURGED)?;
        let waiting = self
            .pending()
            .last_key_value()
            .map(|(_, bytes)| bytes.to_vec());
        let last = match waiting {
            Some(bytes) => Some(bytes),
            None => self.file.last()?,
        };
        let last = last
            .map(|bytes| decode::<Entry<TypeConfig>>(&bytes))
            .transpose()?;
        let last = last.map(|entry| entry.log_id);
        Ok(LogState {
            last_purged_log_id: purged,
            last_log_id: last.or(purged),
        })
    }

    fn submit(
        &self,
        entries: impl Iterator<Item = Entry<TypeConfig>>,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), LogError> {
        let encoded: Result<Entries, LogError> = entries
            .map(|entry| Ok((entry.log_id.index, encode(&entry)?.into())))
            .collect();
        let encoded = encoded?;
        self.pending().extend(
            encoded
                .iter()
                .map(|(index, bytes)| (*index, Arc::clone(bytes))),
        );
        self.writer
            .submit(Change::Append(encoded), Done::Flushed(callback))
    }

    async fn drop_from(&self, index: u64) -> Result<(), LogError> {
        self.pending().split_off(&index);
        self.writer.make(Change::Truncate { from: index }).await
    }

    async fn drop_through(&self, last: LogId<MemberId>) -> Result<(), LogError> {
        // The mark first: a gap at the beginning without it would be damage.
        let value = encode(&last)?;
        self.writer
            .make(Change::Set {
                cell: PURGED,
                value,
            })
            .await?;
        self.writer
            .make(Change::Purge {
                through: last.index,
            })
            .await
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
        let written = self.writer.make(Change::Set { cell: VOTE, value }).await;
        written.map_err(|error| StorageIOError::write_vote(&error).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<MemberId>>, StorageError<MemberId>> {
        self.file
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
        let submitted = self.submit(entries.into_iter(), callback);
        submitted.map_err(|error| StorageIOError::write_logs(&error).into())
    }

    async fn truncate(&mut self, log_id: LogId<MemberId>) -> Result<(), StorageError<MemberId>> {
        let dropped = self.drop_from(log_id.index).await;
        dropped.map_err(|error| StorageIOError::write_logs(&error).into())
    }

    async fn purge(&mut self, log_id: LogId<MemberId>) -> Result<(), StorageError<MemberId>> {
        let dropped = self.drop_through(log_id).await;
        dropped.map_err(|error| StorageIOError::write_logs(&error).into())
    }
}
