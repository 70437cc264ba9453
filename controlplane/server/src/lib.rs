//! The process of the control plane: raft below, the APIs above, reconcile loops on the leader.
//!
//!     api, session ──► raft::Node ──► ClusterState::apply ──► newest snapshot ──► reconcile
//!
//! Everything that is decided is decided in `roadstead-core`; here it is carried out.

mod api;
mod clock;
mod config;
mod id;
mod leader;
mod presence;
mod raft;
mod reconcile;
mod serve;
mod session;

pub use config::Config;
pub use raft::RaftError;
pub use serve::{ServerError, run};
