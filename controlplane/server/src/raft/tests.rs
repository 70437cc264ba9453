//! openraft's own suite for stores, on ours.

use openraft::StorageError;
use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::log_store::LogStore;
use super::state_machine::StateMachine;
use super::{MemberId, TypeConfig};

struct OnDisk;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<MemberId>> {
        let directory = tempfile::tempdir().unwrap();
        let log = LogStore::open(directory.path()).unwrap();
        let (machine, _) = StateMachine::open(directory.path().to_owned()).unwrap();
        Ok((directory, log, machine))
    }
}

#[test]
fn the_stores_keep_what_openraft_asks_of_them() {
    Suite::test_all(OnDisk).unwrap();
}
