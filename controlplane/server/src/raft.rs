//! The replicated log, behind a small face: propose commands, read the newest state.
//!
//! openraft stays inside this module; a later version of it changes nothing outside.

mod election;
mod error;
mod hearing;
mod log_store;
mod membership;
mod network;
mod node;
mod proposer;
mod read;
mod service;
mod snapshot;
mod state_machine;

use std::io::Cursor;

use roadstead_core::{Command, Rejection};
use serde::{Deserialize, Serialize};

pub use error::RaftError;
pub(crate) use network::MAX_MESSAGE;
pub(crate) use node::{Member, Node};
pub(crate) use service::RaftService;

/// One entry of the log: what a client asked for or what one pass of a loop decided.
///
/// The commands are applied one by one; one that is rejected does not hold up the others.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Proposal {
    pub(crate) commands: Vec<Command>,
}

/// What became of each command of a proposal.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) results: Vec<Result<(), Rejection>>,
}

openraft::declare_raft_types!(
    /// openraft's types as this control plane uses them.
    pub(crate) TypeConfig: D = Proposal, R = Outcome
);

pub(crate) type MemberId = u64;

/// Encodes with field names, so that a later version can add fields.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    rmp_serde::to_vec_named(value)
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}

#[cfg(test)]
mod tests;
