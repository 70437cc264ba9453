//! Every rule of the orchestrator, deterministic and without IO.
//!
//! `ClusterState::apply` is the only writer; `scheduler`, `deployment` and `targets` decide from a
//! snapshot. The same log gives the same state on every replica: time and ids come inside the
//! command, and nothing here reads a clock, an environment or a random source.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod arn;
pub mod command;
pub mod deployment;
pub mod event;
pub mod id;
pub mod rejection;
pub mod resources;
pub mod scheduler;
pub mod state;
pub mod targets;
pub mod time;
pub mod verdict;

pub use command::Command;
pub use event::Event;
pub use rejection::{Exception, Rejection};
pub use state::ClusterState;
pub use time::Timestamp;
