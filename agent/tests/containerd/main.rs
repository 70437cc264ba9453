//! The agent on a real containerd, with real containers, as a process that can be killed.
//!
//! Needs root, containerd, runc, nft and a static busybox (`apt install containerd runc nftables
//! busybox-static`). A test that lacks one fails and says so.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod adoption;
mod control_plane;
mod image;
mod instance;
mod leftovers;
mod lifecycle;
mod loopback;
mod pull;
mod registry;
mod tasks;
