//! The process of the control plane: raft below, the APIs above, reconcile loops on the leader.
//!
//!     api, session ──► raft::Node ──► ClusterState::apply ──► newest snapshot ──► reconcile
//!
//! Everything that is decided is decided in `roadstead-core`; here it is carried out.

mod api;
mod aside;
mod authorize;
mod clock;
mod config;
mod disk;
mod id;
mod leader;
mod pki;
mod presence;
mod raft;
mod reconcile;
mod serve;
mod session;
mod tls;

pub use config::{Config, Remote};
pub use disk::DiskFull;
pub use raft::RaftError;
pub use serve::{ServerError, run};
