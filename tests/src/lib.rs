//! The harness: real `ctl` processes on a real containerd, and a client that counts what it loses.
//!
//! `cluster` starts and kills the roles on one host, `hosts` on several, `client` speaks to their control plane, `web` is the service
//! that most stories roll out, `load` puts a constant rate on it, `image` makes what it runs. Nothing
//! here retries or waits in silence: a condition has a deadline, a failed request has a kind.

pub mod binaries;
pub mod certificate;
pub mod client;
pub mod cluster;
pub mod eventually;
pub mod front;
pub mod hosts;
pub mod http;
pub mod image;
pub mod leftovers;
pub mod load;
pub mod process;
pub mod registry;
pub mod sample;
pub mod web;

pub use client::Client;
pub use cluster::Cluster;
pub use eventually::eventually;
pub use hosts::{Host, Hosts};
pub use process::Process;
pub use roadstead_client::proto;
