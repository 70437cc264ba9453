//! The process of the control plane: raft below, the APIs above, reconcile loops on the leader.
//!
//!     api, session ──► raft::Node (a Log) ──► ClusterState::apply ──► newest snapshot ──► reconcile
//!
//! Everything that is decided is decided in `roadstead-core`; here it is carried out.

mod api;
mod aside;
mod authorize;
mod certificate;
mod clock;
mod config;
mod disk;
mod id;
mod leader;
#[cfg_attr(
    not(feature = "simulation"),
    expect(unreachable_pub, reason = "the simulation brings a log of its own")
)]
mod log;
mod pki;
mod presence;
mod raft;
mod reconcile;
mod sealing;
mod serve;
mod session;
#[cfg(feature = "simulation")]
pub mod simulation;
mod tls;

pub use config::{Config, Remote};
pub use disk::DiskFull;
pub use raft::RaftError;
pub use serve::{ServerError, run};
