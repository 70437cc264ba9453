//! How others reach the control plane.
//!
//! `Endpoint` says where a server listens, `ControlPlane` keeps a channel to one that answers and
//! follows the leader when a server names another, and `Backoff` spaces retries.

mod backoff;
mod control_plane;
mod endpoint;

pub use backoff::Backoff;
pub use control_plane::{ConnectError, ControlPlane, LEADER_METADATA, not_leader};
pub use endpoint::{Endpoint, EndpointError};
pub use roadstead_proto as proto;
