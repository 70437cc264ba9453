//! The routing table: what the cores read, and how it comes from the contract's message.
//!
//! `Draft` is the message, checked and typed, and nothing shared; `registry` turns it into the
//! `RoutingTable`, in which targets keep the identity that they had before.

pub(crate) mod disk;
mod error;
pub(crate) mod file;
mod group;
mod listener;
mod rule;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roadstead_proto::lb;
use sha2::{Digest, Sha256};

use crate::addresses::Meter;
use crate::balance::Algorithm;
use crate::counts::Counts;
use crate::routing::Rule;
use crate::target::Target;
use crate::tls::Keyring;
use crate::traffic::Traffic;
use crate::waiting::Room;
pub use error::TableError;
pub(crate) use group::{GroupDraft, ProtocolVersion, TargetDraft};
pub(crate) use listener::{Access, ListenerDraft, RateLimit, Speaks};

/// One immutable version of everything that decides where a request goes.
#[derive(Debug, Default)]
pub(crate) struct RoutingTable {
    pub(crate) revision: u64,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) groups: Vec<Arc<TargetGroup>>,
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) port: u16,
    pub(crate) speaks: Speaks,
    /// Connections begin with a header of the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    pub(crate) access: Access,
    /// `None` without a limit.
    pub(crate) meter: Option<Arc<Meter>>,
    pub(crate) arn: String,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) rules: Vec<Rule<Arc<TargetGroup>>>,
}

#[derive(Debug)]
pub(crate) struct TargetGroup {
    pub(crate) arn: String,
    /// Stands for it in cookies: the same on every load balancer, and says nothing.
    pub(crate) mark: String,
    pub(crate) protocol_version: ProtocolVersion,
    pub(crate) targets: Vec<Arc<Target>>,
    pub(crate) counts: Option<Arc<Counts>>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) algorithm: Algorithm,
    /// A target's share grows for so long from when it became healthy.
    pub(crate) slow_start: Option<Duration>,
    pub(crate) stickiness: Option<Stickiness>,
    /// Targets in the load balancer's own zone come first.
    pub(crate) prefers_own_zone: bool,
    pub(crate) waiting: Waiting,
    /// Where requests wait for a target.
    pub(crate) room: Arc<Room>,
    pub(crate) traffic: Arc<Traffic>,
}

/// Which requests wait for a target, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// At once.
    pub(crate) most: usize,
    /// `None`: a request for which there is no target is refused at once.
    pub(crate) patience: Option<Duration>,
    /// Until then every request waits, even if there are targets.
    pub(crate) paused_until: Option<Instant>,
}

/// By which cookie a client stays with a target, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stickiness {
    LoadBalancer(Duration),
    /// As long as the application's own cookie of this name is there.
    Application {
        name: String,
        duration: Duration,
    },
}

impl RoutingTable {
    /// Returns the listener on `port`.
    pub(crate) fn listener(&self, port: u16) -> Option<&Listener> {
        let mut listeners = self.listeners.iter();
        listeners.find(|listener| listener.port == port)
    }

    /// Forgets clients that have not made a request for a while.
    pub(crate) fn forget_idle(&self, now: Instant) {
        let meters = self.listeners.iter().filter_map(|one| one.meter.as_ref());
        meters.for_each(|meter| meter.forget_idle(now));
    }
}

impl Listener {
    /// Returns what it has come to since the start of the process.
    pub(crate) fn report(&self) -> lb::Traffic {
        self.traffic.report(&self.arn, &self.port.to_string())
    }
}

/// Returns what stands for something in cookies.
pub(crate) fn mark(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let first = digest.first_chunk().expect("a digest has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*first))
}

impl TargetGroup {
    /// Returns what it has come to since the start of the process.
    pub(crate) fn report(&self) -> lb::Traffic {
        lb::Traffic {
            waiting: u32::try_from(self.room.waiting()).unwrap_or(u32::MAX),
            ..self.traffic.report(&self.arn, self.name())
        }
    }

    /// Returns the name in its ARN, or all of what is none.
    pub(crate) fn name(&self) -> &str {
        let mut parts = self.arn.split('/');
        parts.nth(1).unwrap_or(&self.arn)
    }

    /// Returns how many requests of `worker` have asked this group before.
    pub(crate) fn turn(&self, worker: usize) -> usize {
        self.turns.0[worker].0.fetch_add(1, Relaxed)
    }
}

/// Whose turn it is in a group, for each worker on a cache line of its own.
#[derive(Debug)]
pub(crate) struct Turns(Box<[Turn]>);

#[derive(Debug)]
#[repr(align(64))]
struct Turn(AtomicUsize);

impl Turns {
    /// Workers begin at different targets, so that they do not march in step.
    pub(crate) fn new(workers: usize) -> Self {
        Self(
            (0..workers)
                .map(|worker| Turn(AtomicUsize::new(worker)))
                .collect(),
        )
    }
}

/// A table as received, checked.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) revision: u64,
    /// By port.
    pub(crate) listeners: BTreeMap<u16, ListenerDraft>,
    pub(crate) groups: Vec<GroupDraft>,
}

impl Draft {
    /// Checks a table; its certificates go to the keyring.
    pub(crate) fn read(table: &lb::Table, keyring: &mut Keyring) -> Result<Self, TableError> {
        let groups: Vec<GroupDraft> = table
            .target_groups
            .iter()
            .map(group::read)
            .collect::<Result<_, _>>()?;
        let mut transports = BTreeMap::new();
        for group in &groups {
            let before = transports.insert(group.arn.as_str(), group.transport);
            if before.is_some() {
                let group = group.arn.clone();
                return Err(TableError::TargetGroupTwice { group });
            }
        }
        keyring.take(table)?;
        let mut listeners = BTreeMap::new();
        for listener in &table.listeners {
            let (port, draft) = listener::read(listener, &transports, keyring)?;
            if listeners.insert(port, draft).is_some() {
                return Err(TableError::PortTwice { port });
            }
        }
        keyring.forget_all_but(table);
        Ok(Self {
            revision: table.revision,
            listeners,
            groups,
        })
    }
}

/// Returns the moment of so many milliseconds since the epoch; one that has passed is now.
pub(crate) fn instant_of(epoch_milliseconds: i64) -> Instant {
    let milliseconds = u64::try_from(epoch_milliseconds).unwrap_or(0);
    let moment = UNIX_EPOCH + Duration::from_millis(milliseconds);
    let left = moment.duration_since(SystemTime::now());
    // An error means that it has passed.
    Instant::now() + left.unwrap_or(Duration::ZERO)
}

fn port(port: u32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests;
