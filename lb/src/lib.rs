//! The load balancer: an HTTP reverse proxy that changes its targets without losing a request.
//!
//! A control loop (`control`) takes routing tables from the control plane (`session`) or from a file
//! (`table::file`), and gives them to one worker per core (`worker`). A worker accepts connections
//! (`client`, with `tls` where the listener speaks HTTPS), walks each request through `proxy`, and speaks to
//! targets through `upstream`.
//! `routing`, `balance` and `health` are the rules, and pure. `target` holds what every core shares
//! about one target: the drain handshake rests on it. `succession` is how two processes are one load balancer while one
//! takes over from the other.

mod access_log;
mod addresses;
mod balance;
mod client;
mod config;
mod control;
mod counter;
mod counts;
mod framing;
mod health;
mod hop;
mod io;
mod lock;
mod metrics;
#[cfg(test)]
mod mutation;
mod proxy;
mod reason;
mod registry;
mod response;
mod routing;
mod run;
mod session;
mod shared;
mod socket;
mod succession;
mod table;
mod target;
mod tls;
mod traffic;
mod trouble;
mod upstream;
mod waiting;
mod worker;

pub use access_log::AccessLogFormat;
pub use config::Config;
pub use run::{LbError, Source, run, run_in_place, run_observed};
pub use session::{IdentityError, node_id};
pub use succession::{Handle, Phase, Place, Progress, TargetName};
pub use table::TableError;
pub use table::file::{TableFileError, check_table_file};
pub use tls::{CertificateError, TlsError};
pub use worker::BindError;
