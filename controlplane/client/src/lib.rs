//! How others reach the control plane.
//!
//! `Endpoint` says where a server listens, `Credentials` who a process is, `ControlPlane` keeps a channel to a server
//! that answers and follows the leader when a server names another, and `Backoff` spaces retries. `join` turns a
//! token into credentials, and `durable` keeps what must outlast a crash.

mod backoff;
mod control_plane;
mod credentials;
pub mod durable;
mod endpoint;
pub mod join;

pub use backoff::Backoff;
pub use control_plane::{
    ConnectError, ControlPlane, LEADER_METADATA, did_nothing, leader_of, not_leader,
};
pub use credentials::{Credentials, CredentialsError, SERVER_NAME};
pub use endpoint::{DEFAULT_PORT, Endpoint, EndpointError, ReachError};
pub use roadstead_proto as proto;
