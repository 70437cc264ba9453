//! Seals secrets before they enter the log, with a key that is in no log, no state and no snapshot.
//!
//! The key is made with the first secret. It is on the disks of a majority before the state names it, and every server that
//! lacks it fetches it from another one: level-triggered, as everything here.

mod cipher;
mod store;

use std::sync::Arc;
use std::time::Duration;

use roadstead_client::{Backoff, Endpoint};
use roadstead_core::Command;
use roadstead_core::id::CertificateId;
use roadstead_proto::raft::{GetSealingKeyRequest, KeepSealingKeyRequest};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tracing::{info, warn};

pub(crate) use cipher::CipherError;
use cipher::Key;
pub(crate) use store::Store;

use crate::RaftError;
use crate::raft::Node;

/// A member that does not answer within this is passed over.
const DEADLINE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why a secret cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealingError {
    #[error(transparent)]
    Raft(#[from] RaftError),
    #[error("the sealing key cannot be kept in this server's data directory")]
    Disk(#[from] std::io::Error),
    #[error(
        "a new sealing key is on {kept} of {members} servers; it must be on a majority before it seals anything"
    )]
    NoMajority { kept: usize, members: usize },
    #[error("no server that answers has the sealing key {0}; start the others")]
    Unreachable(String),
    #[error(
        "no server has the sealing key {0} any more: restore the folder `sealing` of a backup, or import each certificate anew"
    )]
    Lost(String),
    #[error(transparent)]
    Cipher(#[from] CipherError),
}

/// A secret that nobody can read without the key.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    /// The key's fingerprint.
    pub(crate) with: String,
}

impl SealingError {
    /// Returns whether trying again changes nothing.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Cipher(_) => true,
            Self::Raft(_) | Self::Disk(_) | Self::NoMajority { .. } | Self::Unreachable(_) => false,
        }
    }
}

/// This server's part in keeping the key.
#[derive(Debug)]
pub(crate) struct Sealing {
    node: Arc<Node>,
    store: Arc<Store>,
    /// One at a time fetches a key, or makes one.
    turn: Mutex<()>,
}

impl Sealing {
    pub(crate) fn new(node: &Arc<Node>, store: &Arc<Store>) -> Self {
        Self {
            node: Arc::clone(node),
            store: Arc::clone(store),
            turn: Mutex::new(()),
        }
    }

    /// Seals a secret of the thing with this name; only under the same name is it opened again.
    pub(crate) async fn seal(&self, name: &str, secret: &[u8]) -> Result<Sealed, SealingError> {
        let key = self.key_to_seal().await?;
        Ok(Sealed {
            bytes: key.seal(name, secret)?,
            with: key.fingerprint().to_owned(),
        })
    }

    /// Opens what was sealed for the thing with this name, with the key that has this fingerprint.
    pub(crate) async fn open(
        &self,
        name: &str,
        sealed: &[u8],
        with: &str,
    ) -> Result<Vec<u8>, SealingError> {
        let key = self.named(with).await?;
        Ok(key.open(name, sealed)?)
    }

    /// Fetches the key that the state names as soon as it does, until `stop`.
    pub(crate) async fn keep(&self, stop: &CancellationToken) {
        let mut newest = self.node.watch();
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let named = newest.borrow_and_update().sealing_key.clone();
            if let Some(fingerprint) = named {
                match self.named(&fingerprint).await {
                    Ok(_) => return,
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        warn!(error, "the sealing key is not here yet; asking again");
                    }
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pauses.pause()) => {}
                }
            } else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = newest.changed() => if changed.is_err() {
                        return;
                    },
                }
            }
        }
    }

    /// Returns the key that the state names; makes one where it names none, or one that no server has any more.
    async fn key_to_seal(&self) -> Result<Arc<Key>, SealingError> {
        let named = self.node.read().await?.sealing_key.clone();
        match named {
            None => self.make(None).await?,
            Some(fingerprint) => match self.named(&fingerprint).await {
                Err(SealingError::Lost(lost)) => self.make(Some(lost)).await?,
                found => return found,
            },
        }
        let state = self.node.newest();
        let fingerprint = state.sealing_key.as_deref().unwrap_or_default();
        self.named(fingerprint).await
    }

    async fn named(&self, fingerprint: &str) -> Result<Arc<Key>, SealingError> {
        if let Some(key) = self.store.load(fingerprint)? {
            return Ok(key);
        }
        let _turn = self.turn.lock().await;
        if let Some(key) = self.store.load(fingerprint)? {
            return Ok(key);
        }
        let mut all_answered = true;
        for member in self.others() {
            match self.fetch(&member, fingerprint).await {
                Ok(bytes) => {
                    let key = Key::from_bytes(&bytes)?;
                    if key.fingerprint() == fingerprint {
                        info!(%member, fingerprint, "the sealing key is here");
                        return Ok(self.store.save(key)?);
                    }
                }
                Err(status) => all_answered &= status.code() == Code::NotFound,
            }
        }
        let fingerprint = fingerprint.to_owned();
        Err(if all_answered {
            SealingError::Lost(fingerprint)
        } else {
            SealingError::Unreachable(fingerprint)
        })
    }

    /// Makes a key, in the place of one that is lost. Where another server does so at the same time, the log decides which
    /// one it is.
    async fn make(&self, replaces: Option<String>) -> Result<(), SealingError> {
        let _turn = self.turn.lock().await;
        if self.node.newest().sealing_key != replaces {
            return Ok(());
        }
        let key = self.store.save(Key::generate()?)?;
        let members = self.node.members().len();
        let mut kept = 1;
        for member in self.others() {
            kept += usize::from(self.give(&member, &key).await.is_ok());
        }
        if kept * 2 <= members {
            self.store.forget(&key)?;
            return Err(SealingError::NoMajority { kept, members });
        }
        let fingerprint = key.fingerprint().to_owned();
        let command = Command::NameSealingKey {
            fingerprint,
            replaces,
        };
        match self.node.write(command).await? {
            Ok(()) => info!(
                fingerprint = key.fingerprint(),
                kept, "secrets are sealed with a new key"
            ),
            Err(_another_was_first) => self.store.forget(&key)?,
        }
        Ok(())
    }

    fn others(&self) -> Vec<Endpoint> {
        let own = self.node.id();
        let members = self.node.members().into_iter();
        let others = members.filter(|member| member.id != own);
        others
            .filter_map(|member| member.endpoint.parse().ok())
            .collect()
    }

    async fn fetch(&self, member: &Endpoint, fingerprint: &str) -> Result<Vec<u8>, Status> {
        let mut client = self.node.client(member)?;
        let fingerprint = fingerprint.to_owned();
        let asked = client.get_sealing_key(GetSealingKeyRequest { fingerprint });
        Ok(in_time(asked).await?.into_inner().key)
    }

    async fn give(&self, member: &Endpoint, key: &Key) -> Result<(), Status> {
        let mut client = self.node.client(member)?;
        let key = key.bytes().to_vec();
        let given = client.keep_sealing_key(KeepSealingKeyRequest { key });
        in_time(given).await.map(drop)
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let answered = timeout(DEADLINE, call).await;
    answered.unwrap_or_else(|_| Err(Status::deadline_exceeded("it does not answer")))
}

/// Returns the name under which the private key of a certificate is sealed.
pub(crate) fn certificate(id: &CertificateId) -> String {
    format!("certificate/{id}")
}

impl From<SealingError> for Status {
    fn from(error: SealingError) -> Self {
        let text = error.to_string();
        match error {
            SealingError::Raft(error) => error.into(),
            SealingError::NoMajority { .. } | SealingError::Unreachable(_) => {
                Self::unavailable(text)
            }
            SealingError::Lost(_) => Self::failed_precondition(text),
            SealingError::Disk(cause) => Self::internal(format!("{text}: {cause}")),
            SealingError::Cipher(_) => Self::internal(text),
        }
    }
}
