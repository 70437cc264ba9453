//! The state machine: applies committed proposals and publishes the newest state.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use openraft::storage::RaftStateMachine;
use openraft::{
    BasicNode, Entry, EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot,
    SnapshotMeta, StorageError, StorageIOError, StoredMembership,
};
use roadstead_core::ClusterState;
use tokio::sync::watch;
use tracing::{debug, info};

use super::snapshot::{self, SnapshotError, StoredSnapshot};
use super::{MemberId, Outcome, Proposal, TypeConfig, decode, encode};

/// The applied state. Readers see it through the `watch` channel, whole and immutable.
#[derive(Debug)]
pub(crate) struct StateMachine {
    directory: PathBuf,
    applied: Option<LogId<MemberId>>,
    membership: StoredMembership<MemberId, BasicNode>,
    state: ClusterState,
    published: watch::Sender<Arc<ClusterState>>,
    /// Held while a snapshot is stored: the log index of the newest one on disk.
    stored: Arc<Mutex<Option<LogId<MemberId>>>>,
}

impl StateMachine {
    /// Loads the snapshot in `directory`, or begins with an empty state.
    pub(crate) fn open(
        directory: PathBuf,
    ) -> Result<(Self, watch::Receiver<Arc<ClusterState>>), SnapshotError> {
        let (published, newest) = watch::channel(Arc::default());
        let mut machine = Self {
            applied: None,
            membership: StoredMembership::default(),
            state: ClusterState::default(),
            published,
            stored: Arc::default(),
            directory,
        };
        if let Some(stored) = snapshot::load(&machine.directory)? {
            machine.stored = Arc::new(Mutex::new(stored.meta.last_log_id));
            machine.restore(&stored)?;
        }
        Ok((machine, newest))
    }

    fn restore(&mut self, stored: &StoredSnapshot) -> Result<(), SnapshotError> {
        let mut state: ClusterState = decode(&stored.state)?;
        state.rebuild_indices();
        self.state = state;
        self.applied = stored.meta.last_log_id;
        self.membership = stored.meta.last_membership.clone();
        self.publish();
        Ok(())
    }

    fn publish(&self) {
        self.published.send_replace(Arc::new(self.state.clone()));
    }

    fn apply_proposal(&mut self, proposal: Proposal) -> Outcome {
        let apply = |command| {
            let events = self
                .state
                .apply(command)
                .inspect_err(|rejection| debug!(%rejection, "rejected"))?;
            for event in events {
                info!(?event, version = self.state.version, "applied");
            }
            Ok(())
        };
        Outcome {
            results: proposal.commands.into_iter().map(apply).collect(),
        }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(
        &mut self,
    ) -> Result<
        (
            Option<LogId<MemberId>>,
            StoredMembership<MemberId, BasicNode>,
        ),
        StorageError<MemberId>,
    > {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcome>, StorageError<MemberId>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut outcomes = Vec::new();
        for entry in entries {
            self.applied = Some(entry.log_id);
            outcomes.push(match entry.payload {
                EntryPayload::Blank => Outcome::default(),
                EntryPayload::Normal(proposal) => self.apply_proposal(proposal),
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Outcome::default()
                }
            });
        }
        self.publish();
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id: self
                .applied
                .map_or_else(|| "empty".to_owned(), |id| id.to_string()),
        };
        SnapshotBuilder {
            directory: self.directory.clone(),
            stored: Arc::clone(&self.stored),
            state: self.state.clone(),
            meta,
        }
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<MemberId>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<MemberId, BasicNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<MemberId>> {
        let stored = StoredSnapshot {
            meta: meta.clone(),
            state: snapshot.into_inner(),
        };
        let (directory, newest) = (self.directory.clone(), Arc::clone(&self.stored));
        let stored =
            blocking(move || store_newest(&directory, &newest, &stored).map(|()| stored)).await;
        let restored = stored.and_then(|stored| self.restore(&stored));
        restored
            .map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), &error).into())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<TypeConfig>>, StorageError<MemberId>> {
        let directory = self.directory.clone();
        let stored = blocking(move || snapshot::load(&directory)).await;
        let stored = stored.map_err(|error| StorageIOError::read_snapshot(None, &error))?;
        Ok(stored.map(|stored| Snapshot {
            meta: stored.meta,
            snapshot: Box::new(Cursor::new(stored.state)),
        }))
    }
}

/// Encodes and stores one consistent state while the machine goes on.
#[derive(Debug)]
pub(crate) struct SnapshotBuilder {
    directory: PathBuf,
    stored: Arc<Mutex<Option<LogId<MemberId>>>>,
    state: ClusterState,
    meta: SnapshotMeta<MemberId, BasicNode>,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError<MemberId>> {
        let (directory, newest) = (self.directory.clone(), Arc::clone(&self.stored));
        let (state, meta) = (self.state.clone(), self.meta.clone());
        let built = blocking(move || {
            let stored = StoredSnapshot {
                meta,
                state: encode(&state)?,
            };
            store_newest(&directory, &newest, &stored)?;
            Ok(stored)
        });
        let signature = Some(self.meta.signature());
        let stored = built
            .await
            .map_err(|error| StorageIOError::write_snapshot(signature, &error))?;
        Ok(Snapshot {
            meta: stored.meta,
            snapshot: Box::new(Cursor::new(stored.state)),
        })
    }
}

/// Stores a snapshot unless a newer one is there already: one may be built while another is received.
fn store_newest(
    directory: &Path,
    newest: &Mutex<Option<LogId<MemberId>>>,
    snapshot: &StoredSnapshot,
) -> Result<(), SnapshotError> {
    let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
    if snapshot.meta.last_log_id >= *newest {
        snapshot::store(directory, snapshot)?;
        *newest = snapshot.meta.last_log_id;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, SnapshotError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("reading and writing a snapshot does not panic")
}
