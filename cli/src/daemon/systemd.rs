//! What systemd is told about a unit of `Type=notify` (sd_notify(3)). Nothing is done where systemd has not started the process.

mod store;

use std::os::fd::BorrowedFd;

use sd_notify::NotifyState;
use tracing::warn;

pub(super) use store::Store;

/// The role is of use: what waits for it may start.
pub(super) fn ready() {
    notify(&[NotifyState::Ready], &[]);
}

/// This process, the unit's main one, has given that place to another one.
pub(super) fn main_process(pid: u32) {
    notify(&[NotifyState::MainPid(pid)], &[]);
}

fn notify(state: &[NotifyState<'_>], descriptors: &[BorrowedFd<'_>]) {
    if let Err(error) = sd_notify::notify_with_fds(state, descriptors) {
        warn!(
            ?state,
            error = &error as &dyn std::error::Error,
            "systemd cannot be told"
        );
    }
}
