//! Listening sockets that systemd keeps for the next process of a unit with `FileDescriptorStoreMax=` (sd_notify(3)): whatever this
//! process ends by, who connects after it waits for the next one instead of being refused.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Weak};

use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::fstat;
use sd_notify::NotifyState;
use tracing::{info, warn};

use super::notify;
use crate::daemon::succession::inherited;

/// Most descriptors of one message (SCM_MAX_FD of the kernel is 253).
const OF_A_MESSAGE: usize = 128;

/// What systemd says about the sockets that it has for this process is not to be understood.
#[derive(Debug, thiserror::Error)]
#[error("cannot take over the sockets that LISTEN_FDS says systemd has kept")]
pub(crate) struct StoreError(#[source] io::Error);

/// What systemd keeps of this unit's sockets.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// By the names that systemd knows them by. Weak, or a socket would outlive its listener here.
    kept: BTreeMap<String, Vec<Weak<TcpListener>>>,
}

/// What systemd is told so that it keeps other sockets than before.
#[derive(Debug)]
enum Change {
    /// All that has this name is closed.
    Forget(String),
    Keep(String, Vec<Arc<TcpListener>>),
}

impl Store {
    /// Returns what systemd has kept for this process, and the listening sockets of it. To be called once, at the start.
    ///
    /// # Errors
    /// Fails when the environment names descriptors that are not open, or is malformed.
    pub(crate) fn take() -> Result<(Self, Vec<TcpListener>), StoreError> {
        let mut store = Self::default();
        // A predecessor leaves what was said to it, and that is for another process.
        if sd_notify::listen_fds().map_err(StoreError)?.len() == 0 {
            return Ok((store, Vec::new()));
        }
        let named = sd_notify::listen_fds_with_names().map_err(StoreError)?;
        let mut seen = BTreeSet::new();
        let mut sockets = Vec::new();
        for (number, name) in named {
            let descriptor =
                inherited(number).map_err(|error| StoreError(io::Error::other(error)))?;
            store.kept.entry(name.clone()).or_default();
            let listens = getsockopt(&descriptor, sockopt::AcceptConn).unwrap_or(false);
            let inode = fstat(&descriptor)
                .map_err(|errno| StoreError(errno.into()))?
                .st_ino;
            if !listens || !seen.insert(inode) {
                info!(
                    name,
                    "not taken over: it is no listening socket, or was there before"
                );
                continue;
            }
            let socket = TcpListener::from(descriptor);
            socket.set_nonblocking(true).map_err(StoreError)?;
            sockets.push(socket);
        }
        Ok((store, sockets))
    }

    /// Returns what systemd has kept for the predecessor of this process, whose sockets these are.
    pub(crate) fn after(sockets: &[TcpListener]) -> Self {
        let addresses = sockets.iter().filter_map(|socket| socket.local_addr().ok());
        Self {
            kept: addresses
                .map(|address| (name(address), Vec::new()))
                .collect(),
        }
    }

    /// Lets systemd keep these listening sockets, and no others.
    pub(crate) fn keep(&mut self, sockets: &[Arc<TcpListener>]) {
        for change in self.change(by_name(sockets)) {
            match change {
                Change::Forget(name) => {
                    notify(
                        &[NotifyState::FdStoreRemove, NotifyState::FdName(&name)],
                        &[],
                    );
                }
                Change::Keep(name, sockets) => {
                    for some in sockets.chunks(OF_A_MESSAGE) {
                        let descriptors: Vec<_> =
                            some.iter().map(|socket| socket.as_fd()).collect();
                        notify(
                            &[NotifyState::FdStore, NotifyState::FdName(&name)],
                            &descriptors,
                        );
                    }
                }
            }
        }
    }

    /// Takes down what is to be kept from now on, and returns what that changes.
    fn change(&mut self, wanted: BTreeMap<String, Vec<Arc<TcpListener>>>) -> Vec<Change> {
        let mut changes = Vec::new();
        self.kept.retain(|name, _| {
            let stays = wanted.contains_key(name);
            if !stays {
                changes.push(Change::Forget(name.clone()));
            }
            stays
        });
        for (name, sockets) in wanted {
            let kept = self.kept.get(&name);
            if kept.is_some_and(|kept| are_the_same(kept, &sockets)) {
                continue;
            }
            // What a process before this one has left under this name may be the same sockets, or others.
            if kept.is_some() {
                changes.push(Change::Forget(name.clone()));
            }
            let weak = sockets.iter().map(Arc::downgrade).collect();
            self.kept.insert(name.clone(), weak);
            changes.push(Change::Keep(name, sockets));
        }
        changes
    }
}

fn are_the_same(kept: &[Weak<TcpListener>], sockets: &[Arc<TcpListener>]) -> bool {
    kept.len() == sockets.len()
        && kept
            .iter()
            .zip(sockets)
            .all(|(kept, socket)| kept.as_ptr() == Arc::as_ptr(socket))
}

fn by_name(sockets: &[Arc<TcpListener>]) -> BTreeMap<String, Vec<Arc<TcpListener>>> {
    let mut named: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for socket in sockets {
        match socket.local_addr() {
            Ok(address) => named
                .entry(name(address))
                .or_default()
                .push(Arc::clone(socket)),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(
                    error,
                    "a listening socket is not kept over the end of this process"
                );
            }
        }
    }
    named
}

/// A name without the colon, which separates names (sd_listen_fds(3)).
fn name(address: SocketAddr) -> String {
    format!("listener-{}-{}", address.ip(), address.port()).replace(':', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(address: &str) -> Arc<TcpListener> {
        Arc::new(TcpListener::bind(address).unwrap())
    }

    fn said(store: &mut Store, sockets: &[Arc<TcpListener>]) -> Vec<String> {
        let changes = store.change(by_name(sockets)).into_iter();
        let told = changes.map(|change| match change {
            Change::Forget(name) => format!("forget {name}"),
            Change::Keep(name, sockets) => format!("keep {} as {name}", sockets.len()),
        });
        told.collect()
    }

    #[test]
    fn systemd_is_told_what_is_new_and_what_is_gone_and_nothing_twice() {
        let mut store = Store::default();
        let (one, other) = (listening("127.0.0.1:0"), listening("127.0.0.1:0"));
        let name_of = |socket: &TcpListener| name(socket.local_addr().unwrap());
        let both = [Arc::clone(&one), Arc::clone(&one), Arc::clone(&other)];
        let mut told = said(&mut store, &both);
        told.sort();
        let mut wanted = [
            format!("keep 2 as {}", name_of(&one)),
            format!("keep 1 as {}", name_of(&other)),
        ];
        wanted.sort();
        assert_eq!(told, wanted);
        assert!(said(&mut store, &both).is_empty());
        assert_eq!(
            said(&mut store, &both[..2]),
            [format!("forget {}", name_of(&other))]
        );
    }

    #[test]
    fn a_port_that_is_opened_anew_has_its_new_socket_kept_and_no_old_one() {
        let mut store = Store::default();
        let first = listening("127.0.0.1:0");
        let address = first.local_addr().unwrap();
        said(&mut store, &[first]);
        let again = listening(&address.to_string());
        let name = name(address);
        assert_eq!(
            said(&mut store, &[again]),
            [format!("forget {name}"), format!("keep 1 as {name}")]
        );
    }

    #[test]
    fn what_a_process_before_has_left_and_this_one_does_not_use_is_forgotten() {
        let left = String::from("listener-0.0.0.0-80");
        let mut store = Store {
            kept: BTreeMap::from([(left, Vec::new())]),
        };
        assert_eq!(said(&mut store, &[]), ["forget listener-0.0.0.0-80"]);
        assert!(said(&mut store, &[]).is_empty());
    }

    #[test]
    fn a_successor_knows_what_was_kept_of_a_listener_that_it_has_no_more() {
        let left = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = left.local_addr().unwrap();
        let mut store = Store::after(&[left]);
        assert_eq!(said(&mut store, &[]), [format!("forget {}", name(address))]);
    }

    #[test]
    fn a_name_has_no_colon() {
        assert_eq!(name("[::]:443".parse().unwrap()), "listener-__-443");
    }
}
